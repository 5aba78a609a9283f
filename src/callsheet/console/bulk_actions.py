"""Pages of bulk actions: the preview that asks, how far one is, and their list."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from callsheet.console.execution_filters import Filters
from callsheet.console.filter_fields import query_of
from callsheet.console.fragments import Fragment
from callsheet.console.rendering import render_macro
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.bulk_actions import BulkFilter, BulkKind, BulkRequest
from callsheet.domain.errors import BadInput
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.bulk_actions import (
    get_bulk_action,
    list_bulk_actions,
    preview_bulk_action,
    request_bulk_action,
    stop_bulk_action,
)
from callsheet.engine.reads.executions import ExecutionFilter
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/bulk-actions")

_PAGE_SIZE = 50
_REFRESH_SECONDS = 0.5
_NAMES = {
    "search": "text",
    "created_after": "after",
    "created_before": "before",
    "error_code": "error",
    "plan": "stored plan",
    "api_key": "API key",
}


@router.get("")
async def list_page(request: Request, runtime: RuntimeDep, before: UUID | None = None) -> Response:
    """Show the bulk actions, newest first."""
    found = await list_bulk_actions(runtime.reads, before=before, limit=_PAGE_SIZE + 1)
    actions = found[:_PAGE_SIZE]
    return page_response(
        request,
        "bulk_actions.html",
        actions=[(action, _conditions(action.filter)) for action in actions],
        older=actions[-1].id if len(found) > _PAGE_SIZE else None,
        first=before is None,
    )


@router.get("/new")
async def preview_page(request: Request, action: BulkKind, filters: Filters, runtime: RuntimeDep) -> Response:
    """Show what an action on everything that matches would change, and ask."""
    wanted = _request_of(action, filters)
    preview = await preview_bulk_action(runtime.database, wanted)
    return page_response(
        request,
        "bulk_preview.html",
        preview=preview,
        conditions=_conditions(wanted.filter),
        asked=wanted.model_copy(update={"up_to": preview.up_to}).model_dump_json(exclude_none=True),
        back="/console/queues" if action is BulkKind.EMPTY_QUEUE else f"/executions?{query_of(request, action=None)}",
    )


@router.post("")
async def start(request: Request, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Request the action that the preview has shown."""
    try:
        wanted = BulkRequest.model_validate_json(form.get("request", ""))
    except ValidationError:
        raise BadInput("The form is not one of the preview. Open the preview again.") from None
    action = await request_bulk_action(runtime.database, wanted, requested_by=request.state.caller.name)
    return RedirectResponse(f"/console/bulk-actions/{action.id}", 303)


@router.get("/{action_id}")
async def action_page(request: Request, action_id: UUID, runtime: RuntimeDep) -> Response:
    """Show how far a bulk action is."""
    action = await get_bulk_action(runtime.database, action_id)
    return page_response(
        request,
        "bulk_action.html",
        action=action,
        conditions=_conditions(action.filter),
        state=(await _state(runtime, action_id, csrf_token(request)))[0],
        live=action.status == "running",
    )


@router.get("/{action_id}/stream")
async def stream(request: Request, action_id: UUID, runtime: RuntimeDep) -> Response:
    """Stream the progress of a bulk action."""
    await get_bulk_action(runtime.database, action_id)
    return shared_stream(request, lambda token: _state(runtime, action_id, token), every=_REFRESH_SECONDS)


@router.post("/{action_id}/stop")
async def stop(action_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """End a bulk action early."""
    del form
    await stop_bulk_action(runtime.database, action_id)
    return RedirectResponse(f"/console/bulk-actions/{action_id}", 303)


async def _state(runtime: Runtime, action_id: UUID, token: FormToken) -> list[Fragment]:
    action = await get_bulk_action(runtime.database, action_id)
    return [Fragment("bulk-state", render_macro("bulk_parts.html", "state", action, token))]


def _request_of(action: BulkKind, filters: ExecutionFilter) -> BulkRequest:
    given = {name: getattr(filters, name) for name in BulkFilter.model_fields if name != "status"}
    try:
        return BulkRequest(action=action, filter=BulkFilter(status=filters.statuses, **given))
    except ValidationError as error:
        raise BadInput(error.errors()[0]["msg"].removeprefix("Value error, ").capitalize() + ".") from None


def _conditions(given: BulkFilter) -> list[tuple[str, str]]:
    """Return the fields of a filter with their values, for people."""
    values: Mapping[str, Any] = {name: getattr(given, name) for name in BulkFilter.model_fields}
    return [(_NAMES.get(name, name), _text(value)) for name, value in values.items() if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(ExecutionStatus(each).value for each in value)
    return str(value)
