"""Pages of schedules: all of them, and one with its runs."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.filter_fields import OR_NONE, in_utc
from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.domain.stored_names import StoredName
from callsheet.engine.schedules.store import (
    get_schedule,
    list_runs,
    list_schedules,
    pause_schedule,
    resume_schedule,
)

router = APIRouter(prefix="/console/schedules")

_PAGE_SIZE = 50


@router.get("")
async def list_page(request: Request, runtime: RuntimeDep) -> Response:
    """Show all schedules with their next time and their newest run."""
    return page_response(request, "schedules.html", schedules=await list_schedules(runtime.database))


@router.get("/{name}")
async def page(
    request: Request, name: StoredName, runtime: RuntimeDep, before: Annotated[datetime | None, OR_NONE, Query()] = None
) -> Response:
    """Show a schedule with a page of its runs, newest first."""
    schedule = await get_schedule(runtime.database, name)
    found = await list_runs(runtime.reads, name, before=in_utc(before), limit=_PAGE_SIZE + 1)
    older = found[_PAGE_SIZE - 1].due_at.isoformat() if len(found) > _PAGE_SIZE else None
    return page_response(
        request, "schedule.html", schedule=schedule, runs=found[:_PAGE_SIZE], older=older, first=before is None
    )


@router.post("/{name}/{action}")
async def change(
    name: StoredName, action: Literal["pause", "resume", "run"], form: CheckedForm, runtime: RuntimeDep
) -> Response:
    """Pause, resume or run a schedule."""
    del form
    if action == "run":
        execution_id = await runtime.schedule_runner().start_now(name, None)
        if execution_id is not None:
            return RedirectResponse(f"/executions/{execution_id}", 303)
        return RedirectResponse(f"/console/schedules/{name}", 303)
    await (pause_schedule if action == "pause" else resume_schedule)(runtime.database, name)
    return RedirectResponse(f"/console/schedules/{name}", 303)
