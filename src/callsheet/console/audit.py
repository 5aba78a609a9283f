"""The page of the audit log: who changed what, for persons with the scope `admin`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from callsheet.access.audit import AuditFilter, list_entries
from callsheet.console.filter_fields import OR_NONE, IdField, TextField, in_utc, query_of
from callsheet.console.responses import RuntimeDep, page_response

router = APIRouter(prefix="/console/audit")

_PAGE_SIZE = 50


@router.get("")
async def page(
    request: Request,
    runtime: RuntimeDep,
    caller: IdField = None,
    action: TextField = None,
    target: TextField = None,
    since: Annotated[datetime | None, OR_NONE, Query()] = None,
    before: UUID | None = None,
) -> Response:
    """Show a page of the audit log, newest first."""
    filters = AuditFilter(caller, action or None, target or None, in_utc(since))
    found = await list_entries(runtime.reads, filters, before=before, limit=_PAGE_SIZE + 1)
    last = found[_PAGE_SIZE - 1].id if len(found) > _PAGE_SIZE else None
    return page_response(
        request,
        "audit.html",
        entries=found[:_PAGE_SIZE],
        filters=filters,
        filtered=filters != AuditFilter(),
        first_query=query_of(request, before=None),
        older_query=query_of(request, before=last) if last else None,
        first=before is None,
    )
