"""Bulk actions: cancel or retry everything that matches a filter, or empty a queue."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import Field

from callsheet.api import examples_moves as examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.bulk_actions import BulkAction, BulkPreview, BulkRequest
from callsheet.domain.model import Model
from callsheet.engine.jobs.bulk_actions import (
    get_bulk_action,
    list_bulk_actions,
    preview_bulk_action,
    request_bulk_action,
    stop_bulk_action,
)

router = APIRouter(prefix="/api/bulk-actions", tags=["bulk actions"])

BulkBody = Annotated[BulkRequest, Body(openapi_examples=examples.bulk_requests)]


class BulkActionPage(Model):
    """One page of bulk actions, newest first."""

    bulk_actions: list[BulkAction]
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null: this is the last page")


@router.post(
    "/preview",
    name="preview_bulk_action",
    summary="Count what a bulk action would change",
    responses={**problem_responses(422), 200: examples.bulk_preview},
)
async def preview(body: BulkBody, runtime: RuntimeDep) -> BulkPreview:
    """Return how many executions match, by status, and the newest of them. Nothing is changed."""
    return await preview_bulk_action(runtime.database, body)


@router.post(
    "",
    name="start_bulk_action",
    summary="Cancel or retry everything that matches",
    status_code=202,
    responses={**problem_responses(422), 202: examples.running_bulk_action},
)
async def start(body: BulkBody, response: Response, caller: CallerDep, runtime: RuntimeDep) -> BulkAction:
    """Store the request, which servers and workers carry out in parts, newest executions first.

    The response comes before anything is changed; the bulk action shows how far it is. It goes on when the server
    restarts. An execution that no longer matches when its turn comes is left alone.
    """
    action = await request_bulk_action(runtime.database, body, requested_by=caller.name)
    response.headers["Location"] = f"/api/bulk-actions/{action.id}"
    return action


@router.get(
    "",
    name="list_bulk_actions",
    summary="List bulk actions",
    responses={**problem_responses(400, 422), 200: examples.bulk_action_page},
)
async def list_all(runtime: RuntimeDep, cursor: Cursor = None, limit: Limit = 50) -> BulkActionPage:
    """Return a page of bulk actions, newest first. They are kept for as long as the audit log."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    found = await list_bulk_actions(runtime.reads, before=before, limit=limit + 1)
    page, more = page_of(runtime.key, found, limit, lambda action: action.id)
    return BulkActionPage(bulk_actions=page, next_cursor=more)


@router.get(
    "/{action_id}",
    name="read_bulk_action",
    summary="Read a bulk action",
    responses={**problem_responses(404), 200: examples.bulk_action},
)
async def read(action_id: UUID, runtime: RuntimeDep) -> BulkAction:
    """Return a bulk action, and how far it is."""
    return await get_bulk_action(runtime.database, action_id)


@router.post(
    "/{action_id}/stop",
    name="stop_bulk_action",
    summary="Stop a bulk action",
    responses={**problem_responses(404), 200: examples.stopped_bulk_action},
)
async def stop(action_id: UUID, runtime: RuntimeDep) -> BulkAction:
    """End a bulk action early. What it has changed stays so."""
    return await stop_bulk_action(runtime.database, action_id)
