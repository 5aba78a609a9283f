"""Executions: submit, read, list, cancel, retry."""

from contextlib import nullcontext
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import Field

from callsheet.api import examples
from callsheet.api.comparable_time import comparable_time
from callsheet.api.cursors import decode_cursor, encode_cursor
from callsheet.api.dependencies import RuntimeDep, runtime_of
from callsheet.api.plan_body import PlanBody, is_large, parse_plan_body, read_body
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import PlanRefused
from callsheet.domain.model import Model
from callsheet.domain.plan import Submission
from callsheet.domain.records import Execution, ExecutionSummary, Receipt
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.receipt import receipt_of
from callsheet.engine.jobs.retry import retry_execution
from callsheet.engine.jobs.submit import SubmittedPlan, submit
from callsheet.engine.reads.executions import ExecutionFilter, execution_json, list_executions
from callsheet.notify.callback import callback_problems
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.wiring import Runtime

router = APIRouter(tags=["executions"])


class ExecutionPage(Model):
    """One page of executions, newest first."""

    executions: list[ExecutionSummary]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


class RetryOptions(Model):
    """Options of a retry."""

    resubmit: bool = Field(False, description="Also repeat once steps whose outcome is unknown")


@router.post(
    "/api/executions",
    status_code=202,
    summary="Submit a plan",
    response_model=Receipt,
    responses={**problem_responses(400, 413, 415, 422), 202: examples.receipt},
    openapi_extra=examples.submission,
)
async def submit_plan(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="A repeated request with the same key and the same plan returns the first execution, and "
            "stores no new one",
            examples=["order-4711"],
        ),
    ] = None,
) -> Response:
    """Validate a plan and store its execution. If the plan has problems, all are reported and nothing is stored.

    The body is JSON or YAML: a plan `{"jobs": […]}`, a list of jobs, or `{"executionPlan": …}` with further fields
    such as `callbackUrl`. Field names are in camelCase or snake_case.
    """
    text = await read_body(request)
    # Only a few large plans at a time: the others wait here, and leave the event loop to other requests.
    async with request.app.state.large_plans if is_large(text) else nullcontext():
        return await _submit_text(runtime_of(request), text, idempotency_key)


async def _submit_text(runtime: Runtime, text: bytes, idempotency_key: str | None) -> Response:
    body = await parse_plan_body(text, max_bytes=runtime.settings.max_body_bytes)
    try:
        submission = await body.submission(runtime.catalog)
        stored = await _store(runtime, body, submission, idempotency_key)
    except PlanRefused as refused:
        raise await in_plan_thread(body.refused, refused) from None
    headers = {"Location": f"/api/executions/{stored.execution_id}"}
    if stored.is_duplicate:
        headers["Idempotent-Replayed"] = "true"
    receipt = await receipt_of(runtime.database, stored)
    # Not by FastAPI, which would validate the receipt again.
    content = await in_plan_thread(receipt.model_dump_json) if body.is_large else receipt.model_dump_json()
    return Response(content, 202, headers, "application/json")


async def _store(runtime: Runtime, body: PlanBody, submission: Submission, key: str | None) -> SubmittedPlan:
    try:
        return await submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=runtime.settings.max_jobs_per_plan,
            idempotency_key=key,
            other_problems=callback_problems(submission.callback_url, runtime.settings),
        )
    except PlanRefused as refused:
        raise refused.located(body.in_body) from None


@router.get(
    "/api/executions",
    name="list_executions",
    summary="List executions",
    responses={**problem_responses(400, 422), 200: examples.execution_page},
)
async def list_all(
    runtime: RuntimeDep,
    status: Annotated[
        list[ExecutionStatus] | None, Query(description="One or more statuses", examples=[["running", "queued"]])
    ] = None,
    search: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=r"^[^\x00]*$",
            description="Text in the name or the metadata, or a complete id",
            examples=["trailer"],
        ),
    ] = None,
    id_prefix: Annotated[
        str | None,
        Query(alias="idPrefix", pattern="^(?:-?[0-9a-fA-F]){4,32}$", description="First characters of the id"),
    ] = None,
    created_after: Annotated[datetime | None, Query(alias="createdAfter", examples=["2026-11-22T09:00:00Z"])] = None,
    cursor: Annotated[str | None, Query(max_length=100, description="`nextCursor` of the previous page")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ExecutionPage:
    """Return a page of executions, newest first. There are no totals, because counting a long history is slow."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    if created_after is not None:
        created_after = comparable_time(created_after)
    matching = ExecutionFilter(
        statuses=status or None, search=search or None, created_after=created_after, id_prefix=id_prefix
    )
    found = await list_executions(runtime.database, matching, before=before, limit=limit + 1)
    page = found[:limit]
    more = encode_cursor(runtime.key, page[-1].execution_id) if len(found) > limit else None
    return ExecutionPage(executions=page, next_cursor=more)


@router.get(
    "/api/executions/{execution_id}",
    summary="Read an execution",
    response_model=Execution,
    responses={**problem_responses(404), 200: examples.execution},
)
async def read_execution(execution_id: UUID, runtime: RuntimeDep) -> Response:
    """Return an execution with its jobs, and its artifacts with signed URLs."""
    return await _execution_response(runtime, execution_id)


@router.post(
    "/api/executions/{execution_id}/cancel",
    name="cancel_execution",
    summary="Cancel an execution",
    response_model=Execution,
    responses={**problem_responses(404, 409), 200: examples.execution},
)
async def cancel(execution_id: UUID, runtime: RuntimeDep) -> Response:
    """Cancel all jobs that have not ended. Running jobs are stopped first, and then become `cancelled`."""
    await cancel_execution(runtime.database, execution_id)
    return await _execution_response(runtime, execution_id)


@router.post(
    "/api/executions/{execution_id}/retry",
    name="retry_execution",
    summary="Retry an execution",
    response_model=Execution,
    responses={**problem_responses(404, 409, 422), 200: examples.execution},
)
async def retry(
    execution_id: UUID,
    runtime: RuntimeDep,
    options: Annotated[RetryOptions | None, Body(openapi_examples=examples.retry_options)] = None,
) -> Response:
    """Run failed, cancelled and skipped jobs again. Succeeded jobs keep their results."""
    await retry_execution(runtime.database, execution_id, resubmit=bool(options and options.resubmit))
    return await _execution_response(runtime, execution_id)


async def _execution_response(runtime: Runtime, execution_id: UUID) -> Response:
    # Not by FastAPI, which would validate and encode all jobs on the event loop.
    content = await execution_json(runtime.database, execution_id, runtime.sign)
    return Response(content, media_type="application/json")
