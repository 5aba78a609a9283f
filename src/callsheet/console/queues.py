"""The page of queues, and its actions: pause, resume, limits."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.fragments import Fragment, rows_of
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.errors import Problem, ProblemList
from callsheet.engine.fleet.queues import QueueChange, Rate, change_queue
from callsheet.engine.reads.queues import list_queues
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/queues")

_REFRESH_SECONDS = 2.0
_MAX_NUMBER = 2**31 - 1


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
    most = _whole_number(form, "max_running", 0)
    return await _change(runtime, name, QueueChange(max_running=most, clear_max_running=most is None))


@router.post("/{name}/rate")
async def limit_rate(name: str, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Limit the starts of a queue in a time over all workers; two empty fields remove the limit."""
    starts, seconds = _whole_number(form, "starts", 1), _whole_number(form, "seconds", 1)
    if (starts is None) != (seconds is None):
        message = "starts and seconds go together: fill both, or none"
        raise ProblemList([Problem("starts", "bad_value", message)], "1 problem in the form")
    if starts is None or seconds is None:
        return await _change(runtime, name, QueueChange(clear_rate=True))
    return await _change(runtime, name, QueueChange(rate=Rate(starts, timedelta(seconds=seconds))))


def _whole_number(form: dict[str, str], field: str, least: int) -> int | None:
    given = form.get(field, "").strip()
    if not given:
        return None
    if given.isascii() and given.isdecimal() and len(given) <= 10 and least <= int(given) <= _MAX_NUMBER:
        return int(given)
    message = f"'{given[:40]}' is not a whole number from {least} to {_MAX_NUMBER}; empty means no limit"
    raise ProblemList([Problem(field, "bad_value", message)], "1 problem in the form")


async def _change(runtime: Runtime, name: str, change: QueueChange) -> Response:
    await change_queue(runtime.database, runtime.catalog, name, change)
    return RedirectResponse("/console/queues", 303)


async def _rows(runtime: Runtime, token: FormToken) -> list[Fragment]:
    queues = await list_queues(runtime.database, runtime.catalog)
    return rows_of("fleet_parts.html", "queue", queues, "queues", token)
