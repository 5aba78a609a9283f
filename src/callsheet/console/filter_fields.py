"""Fields of filters in the query of a URL, as forms send them: an empty field is none."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request
from pydantic import BeforeValidator

from callsheet.domain.comparable_time import comparable_time

TEXT = r"^[^\x00]*$"
"""Pattern of texts."""


def _or_none(value: Any) -> Any:
    """Return None for an empty field of a form."""
    return value or None


def _without_empty(value: Any) -> Any:
    return [each for each in value if each] or None if isinstance(value, list) else value


WITHOUT_EMPTY = BeforeValidator(_without_empty)
"""Removes empty values of a list; None if there is no other."""
OR_NONE = BeforeValidator(_or_none)
"""Makes an empty value None."""
TextField = Annotated[str | None, Query(max_length=200, pattern=TEXT)]
ErrorCodeField = Annotated[str | None, Query(alias="errorCode", max_length=200, pattern=TEXT)]
IdField = Annotated[UUID | None, OR_NONE]
CreatedAfterField = Annotated[datetime | None, OR_NONE, Query(alias="createdAfter")]
CreatedBeforeField = Annotated[datetime | None, OR_NONE, Query(alias="createdBefore")]


def in_utc(at: datetime | None) -> datetime | None:
    """Return a time that the database can compare. Fields of forms have no zone, and mean UTC."""
    if at is None:
        return None
    return comparable_time(at if at.tzinfo else at.replace(tzinfo=UTC))


def query_of(request: Request, **changes: Any) -> str:
    """Return the filters of a request as a query, with changes; None removes one."""
    given = [(name, value) for name, value in request.query_params.multi_items() if value and name not in changes]
    return urlencode([*given, *((name, value) for name, value in changes.items() if value is not None)])
