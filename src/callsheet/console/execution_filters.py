"""The filters of the list of executions, in the query of its URL, with the names of the API."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from callsheet.console.filter_fields import (
    OR_NONE,
    WITHOUT_EMPTY,
    CreatedAfterField,
    CreatedBeforeField,
    ErrorCodeField,
    IdField,
    TextField,
    in_utc,
)
from callsheet.domain.saved_views import ExecutionView
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.reads.executions import ExecutionFilter


async def _filters(
    status: Annotated[list[ExecutionStatus] | None, WITHOUT_EMPTY, Query()] = None,
    search: TextField = None,
    operation: TextField = None,
    queue: TextField = None,
    error_code: ErrorCodeField = None,
    created_after: CreatedAfterField = None,
    created_before: CreatedBeforeField = None,
    plan: TextField = None,
    batch: IdField = None,
    source: TextField = None,
    api_key: Annotated[UUID | None, OR_NONE, Query(alias="apiKey")] = None,
) -> ExecutionFilter:
    return ExecutionFilter(
        statuses=status,
        search=search or None,
        operation=operation or None,
        queue=queue or None,
        error_code=error_code or None,
        created_after=in_utc(created_after),
        created_before=in_utc(created_before),
        plan=plan or None,
        batch=batch,
        source=source or None,
        api_key=api_key,
    )


Filters = Annotated[ExecutionFilter, Depends(_filters)]


def view_of(filters: ExecutionFilter) -> dict[str, Any]:
    """Return filters with the names of the API, and values as in JSON."""
    given = asdict(filters)
    given["status"] = given.pop("statuses")
    fields = {name: value for name, value in given.items() if value is not None}
    return ExecutionView(**fields).model_dump(mode="json", exclude_none=True)
