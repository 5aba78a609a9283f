"""The filters of the list of jobs, in the query of its URL, with the names of the API."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Query

from callsheet.console.filter_fields import (
    WITHOUT_EMPTY,
    CreatedAfterField,
    CreatedBeforeField,
    ErrorCodeField,
    IdField,
    TextField,
    in_utc,
)
from callsheet.domain.queues import canonical_queue
from callsheet.domain.saved_views import JobView
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.job_lists import JobFilter


async def _filters(
    status: Annotated[list[JobStatus] | None, WITHOUT_EMPTY, Query()] = None,
    operation: TextField = None,
    queue: TextField = None,
    error_code: ErrorCodeField = None,
    execution: IdField = None,
    created_after: CreatedAfterField = None,
    created_before: CreatedBeforeField = None,
) -> JobFilter:
    return JobFilter(
        statuses=status,
        operation=operation or None,
        queue=canonical_queue(queue) if queue else None,
        error_code=error_code or None,
        execution_id=execution,
        created_after=in_utc(created_after),
        created_before=in_utc(created_before),
    )


JobFilters = Annotated[JobFilter, Depends(_filters)]


def view_of(filters: JobFilter) -> dict[str, Any]:
    """Return filters with the names of the API, and values as in JSON."""
    given = asdict(filters)
    given["status"], given["execution"] = given.pop("statuses"), given.pop("execution_id")
    fields = {name: value for name, value in given.items() if value is not None}
    return JobView(**fields).model_dump(mode="json", exclude_none=True)
