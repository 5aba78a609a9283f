"""Batches: one execution for each row of a table of inputs."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Header, Request, Response
from pydantic import AwareDatetime, Field, model_validator

from callsheet.api import examples_plans as examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep, caller_of
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.plan import Submission
from callsheet.domain.plan_inputs import MAX_INPUTS
from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.batch_cancellation import request_batch_cancel
from callsheet.engine.jobs.batches import (
    MAX_ROWS,
    Batch,
    BatchAction,
    combinations,
    get_batch,
    list_batches,
    retry_batch,
    submit_batch,
)
from callsheet.engine.jobs.owners import Owner, limits_of, owner_of
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.files.receiver_urls import callback_problems
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/batches", tags=["batches"])


class BatchRows(Model):
    """The inputs of a batch: a table, or the combinations of a matrix."""

    name: str | None = Field(None, max_length=200, pattern=r"^[^\x00]*$", description="Display name of the batch")
    shared_inputs: dict[str, Any] = Field(
        default_factory=dict, description="Inputs of all rows; a row may replace them"
    )
    inputs: list[dict[str, Any]] | None = Field(None, max_length=MAX_ROWS, description="One row for each execution")
    matrix: dict[str, list[Any]] | None = Field(
        None,
        max_length=MAX_INPUTS,
        description="Input → values: one execution for each combination, in place of `inputs`",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "BatchRows":
        if (self.inputs is None) == (self.matrix is None):
            raise ValueError("give either `inputs` or `matrix`")
        return self

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows. Raises PlanRefused for a matrix with too many combinations."""
        return self.inputs if self.inputs is not None else combinations(self.matrix or {})


class BatchRequest(BatchRows):
    """A plan with the rows of its inputs."""

    execution_plan: dict[str, Any] = Field(description="The plan, with its `inputs`")
    callback_url: str | None = Field(
        None, max_length=2000, description="Receives a signed webhook when an execution ends"
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Of each execution")
    priority: int | None = Field(None, ge=-1000, le=1000, description="Default priority of the jobs")
    start_at: AwareDatetime | None = Field(None, description="No job starts earlier")


class BatchPage(Model):
    """One page of batches, newest first."""

    batches: list[Batch]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


@router.post(
    "",
    status_code=202,
    name="submit_batch",
    summary="Submit a batch",
    responses={**problem_responses(402, 409, 422), 202: examples.batch},
)
async def submit_all(
    request: Annotated[BatchRequest, Body(openapi_examples=examples.batches)],
    http_request: Request,
    runtime: RuntimeDep,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1, max_length=255, description="A repeated request with the same key returns the first batch"
        ),
    ] = None,
) -> Batch:
    """Store one execution of the plan for each row of inputs, all or none."""
    async with http_request.app.state.large_plans:
        data = {
            "executionPlan": request.execution_plan,
            "inputs": request.shared_inputs,
            "callbackUrl": request.callback_url,
            "metadata": request.metadata,
            "priority": request.priority,
            "startAt": request.start_at,
        }
        submission = await in_plan_thread(read_submission, data, runtime.catalog)
        return await store_batch(
            runtime,
            response,
            submission,
            request,
            None,
            idempotency_key,
            owner_of(caller_of(http_request), runtime.settings),
        )


async def store_batch(
    runtime: Runtime,
    response: Response,
    submission: Submission,
    rows: BatchRows,
    run: PlanRun | None,
    idempotency_key: str | None,
    owner: Owner | None,
) -> Batch:
    """Store the batch of a request, and set the headers of the response."""
    batch, is_new = await submit_batch(
        runtime.database,
        submission,
        rows.rows(),
        runtime.catalog,
        max_jobs=runtime.settings.max_jobs_per_plan,
        run=run,
        name=rows.name,
        idempotency_key=idempotency_key,
        other_problems=callback_problems(submission.callback_url, runtime.settings),
        owner=owner,
        monthly_budget=runtime.settings.monthly_budget,
    )
    response.headers["Location"] = f"/api/batches/{batch.id}"
    if not is_new:
        response.headers["Idempotent-Replayed"] = "true"
    return batch


@router.get(
    "", name="list_batches", summary="List batches", responses={**problem_responses(400, 422), 200: examples.batch_page}
)
async def list_all(
    runtime: RuntimeDep,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> BatchPage:
    """Return a page of batches, newest first, with the counts of their executions."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    found = await list_batches(runtime.reads, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda batch: batch.id)
    return BatchPage(batches=page, next_cursor=more)


@router.get(
    "/{batch_id}", name="read_batch", summary="Read a batch", responses={**problem_responses(404), 200: examples.batch}
)
async def read(batch_id: UUID, runtime: RuntimeDep) -> Batch:
    """Return a batch with the counts of its executions. `GET /api/executions?batch=` lists them."""
    return await get_batch(runtime.database, batch_id)


@router.post(
    "/{batch_id}/cancel",
    name="cancel_batch",
    summary="Cancel a batch",
    status_code=202,
    responses={**problem_responses(404), 202: examples.cancelling_batch},
)
async def cancel(batch_id: UUID, runtime: RuntimeDep) -> Batch:
    """Cancel the executions that have not ended.

    The response comes before they are cancelled; `cancellation` of the batch shows how far it is. The call can be
    repeated.
    """
    await request_batch_cancel(runtime.database, batch_id)
    return await get_batch(runtime.database, batch_id)


@router.post(
    "/{batch_id}/retry",
    name="retry_batch",
    summary="Retry a batch",
    responses={**problem_responses(402, 404, 409), 200: examples.batch_action},
)
async def retry(batch_id: UUID, runtime: RuntimeDep) -> BatchAction:
    """Retry the failed and cancelled executions."""
    return await retry_batch(runtime.database, batch_id, limits=limits_of(runtime.settings))
