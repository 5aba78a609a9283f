"""The page of workers: what they do, how many slots their lanes have, and the load of their machines."""

from collections import defaultdict
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.fragments import Fragment
from callsheet.console.load_chart import HEIGHT, WIDTH, chart_lines
from callsheet.console.rendering import render_macro
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import Problem, ProblemList
from callsheet.engine.fleet.worker_lanes import reset_lanes, set_lanes
from callsheet.engine.fleet.worker_stop import drain_worker, stop_worker
from callsheet.engine.reads.overview import RunningJob, running_jobs
from callsheet.engine.reads.resources import resource_histories
from callsheet.engine.reads.workers import list_workers
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/workers")

_REFRESH_SECONDS = 2.0
_REFRESH_CHARTS_SECONDS = 20.0
_MAX_CHARTS = 50
"""Workers whose load is drawn."""
_MAX_SLOTS = 10_000
_SHOWN_JOBS = 10
"""Running jobs of one worker."""


@router.get("")
async def page(request: Request, runtime: RuntimeDep) -> Response:
    """Show the workers, live ones first, with their running jobs."""
    rows, charts = await _rows(runtime, csrf_token(request)), await _charts(runtime)
    return page_response(request, "workers.html", rows=rows, charts=charts)


@router.get("/stream")
async def stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed workers."""
    return shared_stream(request, lambda token: _rows(runtime, token), every=_REFRESH_SECONDS)


@router.get("/load/stream")
async def stream_load(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed charts."""
    return shared_stream(request, lambda _: _charts(runtime), every=_REFRESH_CHARTS_SECONDS)


@router.post("/{worker_id}/lanes")
async def change_lanes(worker_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Change the slots of lanes. Running jobs continue."""
    await set_lanes(runtime.database, worker_id, _lanes(form))
    return RedirectResponse("/console/workers", 303)


@router.post("/{worker_id}/reset-lanes")
async def reset(worker_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Give a worker the lanes of its settings again, and forget those that were set by hand for its name."""
    del form
    await reset_lanes(runtime.database, worker_id)
    return RedirectResponse("/console/workers", 303)


@router.post("/{worker_id}/drain")
async def drain(worker_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Close all lanes: the worker ends its running jobs and claims no more."""
    del form
    await drain_worker(runtime.database, worker_id)
    return RedirectResponse("/console/workers", 303)


@router.post("/{worker_id}/stop")
async def stop(worker_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Let the process of a worker end."""
    del form
    await stop_worker(runtime.database, worker_id)
    return RedirectResponse("/console/workers", 303)


def _lanes(form: dict[str, str]) -> dict[str, int]:
    """Return the slots in the fields `lane.QUEUE`. Raises ProblemList with all problems."""
    given = {name.removeprefix("lane."): text.strip() for name, text in form.items() if name.startswith("lane.")}
    problems = [
        Problem(f"lane.{queue}", "bad_value", f"'{text[:40]}' is not a whole number from 0 to {_MAX_SLOTS}")
        for queue, text in given.items()
        if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= _MAX_SLOTS)
    ]
    if problems:
        raise ProblemList(problems, f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the form")
    return {queue: int(text) for queue, text in given.items()}


async def _rows(runtime: Runtime, token: FormToken) -> list[Fragment]:
    jobs: dict[UUID | None, list[RunningJob]] = defaultdict(list)
    for job in await running_jobs(runtime.database):
        jobs[job.worker_id].append(job)
    return [
        Fragment(
            f"workers-{worker.id}",
            render_macro("fleet_parts.html", "worker", worker, jobs[worker.id][:_SHOWN_JOBS], token),
            "",
            "workers",
        )
        for worker in await list_workers(runtime.database)
    ]


async def _charts(runtime: Runtime) -> list[Fragment]:
    """Return the load of the machines of live workers in the last day."""
    workers = [worker for worker in await list_workers(runtime.database) if worker.resources is not None]
    shown = [worker for worker in workers if worker.status != "lost"][:_MAX_CHARTS]
    histories = await resource_histories(runtime.database, [worker.id for worker in shown])
    # A whole minute, so that a chart changes only with its measurements.
    now = shared_now().replace(second=0, microsecond=0)
    charts = [(worker, chart_lines(histories[worker.id], now)) for worker in shown]
    return [
        Fragment(
            f"load-{worker.id}", render_macro("load_parts.html", "chart", worker, lines, WIDTH, HEIGHT), "", "loads"
        )
        for worker, lines in charts
    ]
