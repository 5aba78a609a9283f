"""Executions: submit, read, list, cancel, retry."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import Field

from callsheet.api import examples
from callsheet.api.cursors import read_cursor, write_cursor
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.errors import ApiError
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import PlanRefused, Problem
from callsheet.domain.model import Model
from callsheet.domain.plan import Submission
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import read_submission
from callsheet.domain.records import Execution, ExecutionSummary
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.receipt import Receipt, read_receipt
from callsheet.engine.jobs.retry import retry_execution
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.executions import ExecutionFilter, get_execution, list_executions
from callsheet.notify.callback import callback_problems
from callsheet.wiring import Runtime

router = APIRouter(tags=["executions"])

_BODY_TYPES = {"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", ""}


class ExecutionPage(Model):
    """One page of executions, newest first."""

    executions: list[ExecutionSummary]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null: this was the last")


class RetryOptions(Model):
    """How to run again."""

    resubmit: bool = Field(False, description="Also repeat once-only steps whose outcome is unknown")


@router.post(
    "/api/execute",
    status_code=202,
    summary="Submit a plan",
    response_model=Receipt,
    responses={**problem_responses(400, 413, 415, 422), 202: examples.receipt},
    openapi_extra=examples.submission,
)
async def submit_plan(
    request: Request,
    response: Response,
    runtime: RuntimeDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Sending the same body again under the same key gives the first execution, and stores nothing",
            examples=["order-4711"],
        ),
    ] = None,
) -> Receipt:
    """Check a plan and store it whole; every problem is told at once, and then nothing is stored.

    The body is JSON or YAML. Names may be written in camelCase or in snake_case.
    """
    submission = await _read_body(request, runtime)
    try:
        stored = await submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=runtime.settings.max_jobs_per_plan,
            idempotency_key=idempotency_key,
            other_problems=callback_problems(submission.callback_url, runtime.settings),
        )
    except PlanRefused as refused:
        raise PlanRefused(list(_in_body(refused.problems))) from None
    response.headers["Location"] = f"/api/executions/{stored.execution_id}"
    if stored.is_duplicate:
        response.headers["Idempotent-Replayed"] = "true"
    return await read_receipt(runtime.database, stored.execution_id)


async def _read_body(request: Request, runtime: Runtime) -> Submission:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _BODY_TYPES:
        raise ApiError(415, "unsupported_media_type", "Send the plan as application/json or application/yaml.")
    body = await request.body()
    # A large plan takes a while to read, and other requests go on meanwhile.
    return await asyncio.to_thread(
        lambda: read_submission(_data(body, runtime.settings.max_body_bytes), runtime.catalog)
    )


def _data(body: bytes, max_bytes: int) -> Any:
    if not body.strip():
        raise PlanRefused([Problem("", "empty", "the body is empty; send a plan")])
    return read_plan_text(body, max_bytes=max_bytes)


def _in_body(problems: list[Problem]) -> Iterator[Problem]:
    """Convert paths in the plan to paths in the request body."""
    for problem in problems:
        inside = problem.path.startswith(("jobs", "name"))
        path = f"executionPlan.{problem.path}" if inside else problem.path
        yield Problem(path, problem.code, problem.message)


@router.get(
    "/api/executions",
    name="list_executions",
    summary="List executions",
    responses={**problem_responses(400, 422), 200: examples.execution_page},
)
async def list_all(
    runtime: RuntimeDep,
    status: Annotated[
        list[ExecutionStatus] | None, Query(description="One or several", examples=[["running", "queued"]])
    ] = None,
    search: Annotated[
        str | None, Query(max_length=200, description="In names and metadata, or a whole id", examples=["trailer"])
    ] = None,
    created_after: Annotated[datetime | None, Query(alias="createdAfter", examples=["2026-11-22T09:00:00Z"])] = None,
    cursor: Annotated[str | None, Query(max_length=100, description="`nextCursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ExecutionPage:
    """One page, newest first. There are no totals: counting a long history is slow."""
    before = read_cursor(runtime.key, cursor) if cursor else None
    if created_after is not None and created_after.tzinfo is None:
        created_after = created_after.astimezone()
    chosen = ExecutionFilter(statuses=status or None, search=search or None, created_after=created_after)
    found = await list_executions(runtime.database, chosen, before=before, limit=limit + 1)
    page = found[:limit]
    more = write_cursor(runtime.key, page[-1].execution_id) if len(found) > limit else None
    return ExecutionPage(executions=page, next_cursor=more)


@router.get(
    "/api/executions/{execution_id}",
    summary="Read an execution",
    responses={**problem_responses(404), 200: examples.execution},
)
async def read_execution(execution_id: UUID, runtime: RuntimeDep) -> Execution:
    """The execution with its jobs, and its artifacts with signed URLs."""
    return await get_execution(runtime.database, execution_id, runtime.sign)


@router.get(
    "/api/status/{execution_id}",
    summary="Read an execution (by its older address)",
    responses={**problem_responses(404), 200: examples.execution},
)
async def read_status(execution_id: UUID, runtime: RuntimeDep) -> Execution:
    """The same as `GET /api/executions/{execution_id}`."""
    return await get_execution(runtime.database, execution_id, runtime.sign)


@router.post(
    "/api/executions/{execution_id}/cancel",
    name="cancel_execution",
    summary="Cancel an execution",
    responses={**problem_responses(404, 409), 200: examples.execution},
)
async def cancel(execution_id: UUID, runtime: RuntimeDep) -> Execution:
    """Cancel what has not ended. Jobs that run are stopped, and are `cancelled` once they have stopped."""
    await cancel_execution(runtime.database, execution_id)
    return await get_execution(runtime.database, execution_id, runtime.sign)


@router.post(
    "/api/executions/{execution_id}/retry",
    name="retry_execution",
    summary="Retry an execution",
    responses={**problem_responses(404, 409, 422), 200: examples.execution},
)
async def retry(
    execution_id: UUID,
    runtime: RuntimeDep,
    options: Annotated[RetryOptions | None, Body(openapi_examples=examples.retry_options)] = None,
) -> Execution:
    """Run again what failed, was cancelled or was skipped; what succeeded is kept."""
    await retry_execution(runtime.database, execution_id, resubmit=bool(options and options.resubmit))
    return await get_execution(runtime.database, execution_id, runtime.sign)
