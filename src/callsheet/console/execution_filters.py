"""The filters of the list of executions, in the query of its URL, with the names of the API."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator

from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.reads.executions import ExecutionFilter

_TEXT = r"^[^\x00]*$"


def _or_none(value: Any) -> Any:
    """Return None for an empty field of a form."""
    return value or None


def _without_empty(value: Any) -> Any:
    return [each for each in value if each] or None if isinstance(value, list) else value


_Empty = BeforeValidator(_or_none)
_Text = Annotated[str | None, Query(max_length=200, pattern=_TEXT)]


async def _filters(
    status: Annotated[list[ExecutionStatus] | None, BeforeValidator(_without_empty), Query()] = None,
    search: _Text = None,
    operation: _Text = None,
    queue: _Text = None,
    error_code: Annotated[str | None, Query(alias="errorCode", max_length=200, pattern=_TEXT)] = None,
    created_after: Annotated[datetime | None, _Empty, Query(alias="createdAfter")] = None,
    created_before: Annotated[datetime | None, _Empty, Query(alias="createdBefore")] = None,
    plan: _Text = None,
    batch: Annotated[UUID | None, _Empty] = None,
    source: _Text = None,
    api_key: Annotated[UUID | None, _Empty, Query(alias="apiKey")] = None,
) -> ExecutionFilter:
    return ExecutionFilter(
        statuses=status,
        search=search or None,
        operation=operation or None,
        queue=queue or None,
        error_code=error_code or None,
        created_after=_in_utc(created_after),
        created_before=_in_utc(created_before),
        plan=plan or None,
        batch=batch,
        source=source or None,
        api_key=api_key,
    )


Filters = Annotated[ExecutionFilter, Depends(_filters)]


def _in_utc(at: datetime | None) -> datetime | None:
    """Return a time that the database can compare. Fields of forms have no zone, and mean UTC."""
    if at is None:
        return None
    return comparable_time(at if at.tzinfo else at.replace(tzinfo=UTC))


def query_of(request: Request, **changes: Any) -> str:
    """Return the filters of a request as a query, with changes; None removes one."""
    given = [(name, value) for name, value in request.query_params.multi_items() if value and name not in changes]
    return urlencode([*given, *((name, value) for name, value in changes.items() if value is not None)])
