"""List jobs over all executions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from callsheet.api import examples_moves as examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.model import Model
from callsheet.domain.queues import canonical_queue
from callsheet.domain.records import JobSummary
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.job_lists import JobFilter, list_jobs

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class JobPage(Model):
    """One page of jobs, newest first."""

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


@router.get(
    "", name="list_jobs", summary="List jobs", responses={**problem_responses(400, 422), 200: examples.job_page}
)
async def list_all(
    runtime: RuntimeDep,
    status: Annotated[list[JobStatus] | None, Query(description="One or more statuses", examples=[["failed"]])] = None,
    operation: Text = None,
    queue: Text = None,
    error_code: Annotated[
        str | None,
        Query(
            alias="errorCode", max_length=200, pattern=r"^[^\x00]*$", description="Code of the error of a failed job"
        ),
    ] = None,
    execution: Annotated[UUID | None, Query(description="Id of an execution")] = None,
    created_after: Annotated[datetime | None, Query(alias="createdAfter", examples=["2026-11-22T09:00:00Z"])] = None,
    created_before: Annotated[datetime | None, Query(alias="createdBefore", examples=["2026-11-23T09:00:00Z"])] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> JobPage:
    """Return a page of jobs, newest first, without their params and results. Rare values are found in any history."""
    matching = JobFilter(
        statuses=status or None,
        operation=operation or None,
        queue=canonical_queue(queue) if queue else None,
        error_code=error_code or None,
        execution_id=execution,
        created_after=comparable_time(created_after) if created_after else None,
        created_before=comparable_time(created_before) if created_before else None,
    )
    before = decode_cursor(runtime.key, cursor) if cursor else None
    found = await list_jobs(runtime.reads, matching, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda job: job.id)
    return JobPage(jobs=page, next_cursor=more)
