"""The page of queues, and its actions: pause, resume, limit."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.fragments import Fragment, rows_of
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.errors import Problem, ProblemList
from callsheet.engine.fleet.queues import QueueChange, change_queue
from callsheet.engine.reads.queues import list_queues
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/queues")

_REFRESH_SECONDS = 2.0
_MAX_RUNNING = 2**31 - 1


@router.get("")
async def page(request: Request, runtime: RuntimeDep) -> Response:
    """Show the queues: depth, oldest job, limits, slots."""
    return page_response(request, "queues.html", rows=await _rows(runtime, csrf_token(request)))


@router.get("/stream")
async def stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed queues."""
    return shared_stream(request, lambda token: _rows(runtime, token), every=_REFRESH_SECONDS)


@router.post("/{name}/pause")
async def pause(name: str, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Pause a queue: no more jobs start, running jobs continue."""
    del form
    return await _change(runtime, name, QueueChange(paused=True))


@router.post("/{name}/resume")
async def resume(name: str, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Resume a queue."""
    del form
    return await _change(runtime, name, QueueChange(paused=False))


@router.post("/{name}/limit")
async def limit(name: str, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Limit the running jobs of a queue over all workers; an empty field removes the limit."""
    given = form.get("max_running", "").strip()
    if not given:
        return await _change(runtime, name, QueueChange(clear_max_running=True))
    if not (given.isascii() and given.isdecimal() and len(given) <= 10 and int(given) <= _MAX_RUNNING):
        message = f"'{given[:40]}' is not a whole number from 0 to {_MAX_RUNNING}; empty means no limit"
        raise ProblemList([Problem("max_running", "bad_value", message)], "1 problem in the form")
    return await _change(runtime, name, QueueChange(max_running=int(given)))


async def _change(runtime: Runtime, name: str, change: QueueChange) -> Response:
    await change_queue(runtime.database, runtime.catalog, name, change)
    return RedirectResponse("/console/queues", 303)


async def _rows(runtime: Runtime, token: FormToken) -> list[Fragment]:
    queues = await list_queues(runtime.database, runtime.catalog)
    return rows_of("fleet_parts.html", "queue", queues, "queues", token)
