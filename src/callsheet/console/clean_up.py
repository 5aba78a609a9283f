"""What a clean-up would delete and the room that this gives, and the search for files that nothing names."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.fragments import Fragment
from callsheet.console.rendering import render_macro
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.console.shared_reads import SharedReads
from callsheet.engine.retention.orphans import (
    OrphanedFile,
    OrphanStatus,
    find_orphan_search,
    list_orphans,
    request_orphan_deletion,
    start_orphan_search,
)
from callsheet.engine.retention.preview import preview_everything
from callsheet.engine.schedules.store import list_schedules
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/clean-up")

_SCHEDULE = "clean-up"
_REFRESH_SECONDS = 1.0
_SHOWN_FILES = 20
"""Orphaned files that are listed. The command line lists all."""


@router.get("")
async def page(request: Request, runtime: RuntimeDep) -> Response:
    """Show what a clean-up would delete now."""
    shared: SharedReads = request.app.state.shared_reads

    # It counts whole tables: many that open the page at a time share one count.
    preview = await shared.get(
        "clean-up preview",
        lambda: preview_everything(runtime.database, runtime.settings.retention),
        is_fresh=lambda _: True,
    )
    return page_response(
        request,
        "clean_up.html",
        preview=preview,
        rules=str(runtime.settings.retention),
        schedule=next((each for each in await list_schedules(runtime.database) if each.name == _SCHEDULE), None),
        orphans=await _orphans(runtime, csrf_token(request)),
    )


@router.get("/stream")
async def stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream how far the search for orphaned files is, and their deletion."""
    return shared_stream(request, lambda token: _orphans(runtime, token), every=_REFRESH_SECONDS)


@router.post("/run")
async def run(form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Start the clean-up of executions and temporary files."""
    del form
    await runtime.schedule_runner().start_now(_SCHEDULE, None)
    return RedirectResponse(f"/console/schedules/{_SCHEDULE}", 303)


@router.post("/orphans")
async def search(request: Request, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Start a search of the storage for files that nothing names. Nothing is deleted."""
    del form
    await start_orphan_search(
        runtime.database, min_age=runtime.settings.orphan_min_age, requested_by=request.state.caller.name
    )
    return RedirectResponse("/console/clean-up#orphans", 303)


@router.post("/orphans/{search_id}/delete")
async def delete(request: Request, search_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Delete the files that the newest search has found."""
    del form
    await request_orphan_deletion(runtime.database, search_id, requested_by=request.state.caller.name)
    return RedirectResponse("/console/clean-up#orphans", 303)


async def _orphans(runtime: Runtime, token: FormToken) -> list[Fragment]:
    found = await find_orphan_search(runtime.database)
    files: list[OrphanedFile] = []
    if found is not None and found.status is OrphanStatus.FOUND:
        files = await list_orphans(runtime.database, found.id, after="", limit=_SHOWN_FILES)
    return [Fragment("orphans", render_macro("clean_up_parts.html", "orphans", found, files, token))]
