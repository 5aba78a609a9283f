"""The first page: what happens now, each figure with a link to the list behind it."""

import asyncio
import shutil
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.executions import MOST_COUNTED
from callsheet.console.fragments import Fragment
from callsheet.console.rendering import render_macro
from callsheet.console.responses import RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.clock import shared_now
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.engine.reads.costs import sum_costs
from callsheet.engine.reads.executions import ExecutionFilter, count_executions, list_executions
from callsheet.engine.reads.overview import (
    WaitingGroup,
    database_size,
    failures_since,
    queues_with_ready_jobs,
    waiting_groups,
)
from callsheet.engine.reads.resources import MachineWarning, current_resources, warnings_of
from callsheet.engine.reads.workers import list_workers
from callsheet.wiring import Runtime

router = APIRouter()

_DAY = timedelta(days=1)
_LISTED = 8
_REFRESH_SECONDS = 3.0


@router.get("/")
async def page(request: Request, runtime: RuntimeDep, before: UUID | None = None) -> Response:
    """Show what happens now. Links to pages of the list of executions, which was here before, still lead there."""
    if before is not None:
        return RedirectResponse(f"/executions?before={before}", 303)
    parts = await _fragments(runtime, csrf_token(request))
    return page_response(request, "home.html", parts=parts, base_url=runtime.base_url)


@router.get("/console/home/stream")
async def stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed figures."""
    return shared_stream(request, lambda token: _fragments(runtime, token), every=_REFRESH_SECONDS)


async def _fragments(runtime: Runtime, token: FormToken) -> list[Fragment]:
    database = runtime.reads
    counts = await count_executions(database, most=MOST_COUNTED)
    running = await list_executions(
        database, ExecutionFilter(statuses=[ExecutionStatus.RUNNING]), before=None, limit=_LISTED
    )
    failures = await failures_since(database, _DAY)
    # A whole minute, so that the page changes only when its figures do.
    since = (shared_now() - _DAY).replace(second=0, microsecond=0).isoformat()
    failure_links = [
        (group, urlencode({"status": "failed", "errorCode": group.code, "createdAfter": since})) for group in failures
    ]
    today = shared_now().replace(hour=0, minute=0, second=0, microsecond=0)
    spent = await sum_costs(database, "day", since=today, until=None, limit=1)
    disk = await asyncio.to_thread(shutil.disk_usage, runtime.settings.data_dir)
    return [
        _part("running", running, counts[ExecutionStatus.RUNNING], counts[ExecutionStatus.QUEUED], MOST_COUNTED),
        _part("failures", failure_links[:_LISTED], sum(group.jobs for group in failures), since),
        _part("waiting", [(group, _list_of(group)) for group in (await waiting_groups(database))[:_LISTED]]),
        _part("unserved", await _unserved_queues(runtime)),
        Fragment("home-high", render_macro("load_parts.html", "high", await _high(runtime))),
        _part("spent", spent[0] if spent else None),
        _part("room", disk, await database_size(database), token.may("/console/clean-up/run")),
    ]


async def _high(runtime: Runtime) -> list[MachineWarning]:
    """Return the warnings of workers."""
    return warnings_of(await current_resources(runtime.database))[:_LISTED]


def _list_of(group: WaitingGroup) -> str:
    """Return the address of the list with the jobs of a group."""
    # Other pending jobs wait for jobs before them; those that a person holds are on the page of their queue.
    if group.statuses == [JobStatus.PENDING]:
        return f"/console/queues/{quote(group.queue, safe='')}/jobs"
    return f"/console/jobs?{urlencode({'queue': group.queue, 'status': group.statuses}, doseq=True)}"


def _part(name: str, *args: Any) -> Fragment:
    return Fragment(f"home-{name}", render_macro("home_parts.html", name, *args))


async def _unserved_queues(runtime: Runtime) -> list[str]:
    """Return the queues with ready jobs that no worker serves."""
    workers = await list_workers(runtime.database)
    served = {
        queue
        for worker in workers
        if worker.status == "working" and not worker.only_reserved
        for queue, slots in worker.lanes.items()
        if slots
    }
    names = {*runtime.catalog.queues(), *(queue for worker in workers for queue in worker.lanes)}
    return sorted(await queues_with_ready_jobs(runtime.database, sorted(names - served)))
