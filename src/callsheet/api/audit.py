"""The audit log."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from callsheet.access.audit import AuditEntry, AuditFilter, list_entries
from callsheet.api import examples_access as examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.model import Model

router = APIRouter(prefix="/api/audit", tags=["access"])

_Text = Query(max_length=500, pattern=r"^[^\x00]*$")


class AuditPage(Model):
    """A page of the audit log."""

    entries: list[AuditEntry] = Field(description="Newest first")
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


@router.get(
    "",
    name="list_audit_entries",
    summary="Read the audit log",
    responses={**problem_responses(400, 422), 200: examples.audit_page},
)
async def list_all(
    runtime: RuntimeDep,
    caller: Annotated[UUID | None, Query(description="Id of a key or a user")] = None,
    action: Annotated[str | None, _Text] = None,
    target: Annotated[str | None, _Text] = None,
    since: Annotated[AwareDatetime | None, Query(examples=["2026-11-22T09:00:00Z"])] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """Return a page of the audit log: who changed what, newest first. `target` matches the first characters."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    matching = AuditFilter(caller, action, target, None if since is None else comparable_time(since))
    found = await list_entries(runtime.reads, matching, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda entry: entry.id)
    return AuditPage(entries=page, next_cursor=more)
