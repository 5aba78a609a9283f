"""Executions: submit, read, list, cancel, retry."""

from contextlib import nullcontext
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import Field

from callsheet.api import examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep, caller_of, runtime_of
from callsheet.api.plan_body import read_body
from callsheet.api.problems import problem_responses
from callsheet.domain.callers import Caller
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.errors import PlanRefused
from callsheet.domain.model import Model
from callsheet.domain.plan import Submission
from callsheet.domain.records import Execution, ExecutionSummary, Receipt
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.owners import limits_of, owner_of
from callsheet.engine.jobs.plan_body import PlanBody, is_large, parse_plan_body
from callsheet.engine.jobs.receipt import receipt_of
from callsheet.engine.jobs.retry import retry_execution
from callsheet.engine.jobs.submit import SubmittedPlan, submit
from callsheet.engine.reads.executions import ExecutionFilter, execution_json, list_executions
from callsheet.engine.retention.delete import delete_execution
from callsheet.files.receiver_urls import callback_problems
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
    responses={**problem_responses(400, 402, 413, 415, 422), 202: examples.receipt},
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
        return await _submit_text(runtime_of(request), text, idempotency_key, caller_of(request))


async def _submit_text(runtime: Runtime, text: bytes, idempotency_key: str | None, caller: Caller) -> Response:
    body = await parse_plan_body(text, max_bytes=runtime.settings.max_body_bytes)
    try:
        submission = await body.submission(runtime.catalog)
        stored = await _store(runtime, body, submission, idempotency_key, caller)
    except PlanRefused as refused:
        raise await in_plan_thread(body.refused, refused) from None
    headers = {"Location": f"/api/executions/{stored.execution_id}"}
    if stored.is_duplicate:
        headers["Idempotent-Replayed"] = "true"
    receipt = await receipt_of(runtime.database, stored)
    # Not by FastAPI, which would validate the receipt again.
    content = await in_plan_thread(receipt.model_dump_json) if body.is_large else receipt.model_dump_json()
    return Response(content, 202, headers, "application/json")


async def _store(
    runtime: Runtime, body: PlanBody, submission: Submission, key: str | None, caller: Caller
) -> SubmittedPlan:
    try:
        return await submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=runtime.settings.max_jobs_per_plan,
            idempotency_key=key,
            other_problems=callback_problems(submission.callback_url, runtime.settings),
            owner=owner_of(caller, runtime.settings),
            monthly_budget=runtime.settings.monthly_budget,
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
    created_before: Annotated[datetime | None, Query(alias="createdBefore", examples=["2026-11-23T09:00:00Z"])] = None,
    operation: Annotated[
        str | None,
        Query(max_length=100, pattern=r"^[^\x00]*$", description="Operation of at least one job", examples=["render"]),
    ] = None,
    queue: Annotated[
        str | None, Query(max_length=100, pattern=r"^[^\x00]*$", description="Queue of that job", examples=["render"])
    ] = None,
    error_code: Annotated[
        str | None,
        Query(
            alias="errorCode",
            max_length=100,
            pattern=r"^[^\x00]*$",
            description="Code of the error of that job, which has failed",
            examples=["ffmpeg_failed"],
        ),
    ] = None,
    plan: Annotated[
        str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description="Name of a stored plan", examples=["ad"])
    ] = None,
    batch: Annotated[UUID | None, Query(description="Id of a batch")] = None,
    source: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=r"^[^\x00]*$",
            description="Queue or stream that an intake took it from",
            examples=["video-generation"],
        ),
    ] = None,
    api_key: Annotated[UUID | None, Query(alias="apiKey", description="Id of the API key that submitted it")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ExecutionPage:
    """Return a page of executions, newest first. There are no totals, because counting a long history is slow."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    matching = ExecutionFilter(
        statuses=status or None,
        search=search or None,
        created_after=comparable_time(created_after) if created_after else None,
        created_before=comparable_time(created_before) if created_before else None,
        operation=operation or None,
        queue=queue or None,
        error_code=error_code or None,
        id_prefix=id_prefix,
        plan=plan,
        batch=batch,
        source=source or None,
        api_key=api_key,
    )
    found = await list_executions(runtime.reads, matching, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda execution: execution.execution_id)
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


@router.delete(
    "/api/executions/{execution_id}",
    status_code=204,
    name="delete_execution",
    summary="Delete an execution",
    responses={**problem_responses(404, 409, 422), 204: {"description": "Deleted"}},
)
async def delete(execution_id: UUID, request: Request) -> None:
    """Delete an ended execution with its jobs, events, logs and files. Its costs stay in the sums.

    Refused (409) while it has not ended, and while an unfinished execution, a schedule, a stored plan or an open
    approval names one of its files.
    """
    runtime = runtime_of(request)
    await delete_execution(runtime.database, runtime.storage, execution_id)


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
    responses={**problem_responses(402, 404, 409, 422), 200: examples.execution},
)
async def retry(
    execution_id: UUID,
    runtime: RuntimeDep,
    options: Annotated[RetryOptions | None, Body(openapi_examples=examples.retry_options)] = None,
) -> Response:
    """Run failed, cancelled and skipped jobs again. Succeeded jobs keep their results."""
    resubmit = bool(options and options.resubmit)
    await retry_execution(runtime.database, execution_id, resubmit=resubmit, limits=limits_of(runtime.settings))
    return await _execution_response(runtime, execution_id)


async def _execution_response(runtime: Runtime, execution_id: UUID) -> Response:
    # Not by FastAPI, which would validate and encode all jobs on the event loop.
    content = await execution_json(runtime.database, execution_id, runtime.sign)
    return Response(content, media_type="application/json")
