"""Two to four artifacts side by side, with what differs in the jobs that made them."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from callsheet.console.rendering import indented
from callsheet.console.responses import RuntimeDep, page_response
from callsheet.domain.records import Job
from callsheet.engine.reads.artifacts import get_artifact
from callsheet.engine.reads.jobs import get_job

router = APIRouter(prefix="/console/compare")

_MOST = 4
_MOST_VALUE = 300
"""Characters of a param."""


@router.get("")
async def page(
    request: Request, runtime: RuntimeDep, file: Annotated[list[UUID] | None, Query(max_length=20)] = None
) -> Response:
    """Show the files that were chosen; of more than four, the first ones."""
    chosen = list(dict.fromkeys(file or ()))
    files = await asyncio.gather(*(get_artifact(runtime.database, each, runtime.sign) for each in chosen[:_MOST]))
    jobs = await asyncio.gather(*(get_job(runtime.database, each.job_record_id, runtime.sign) for each in files))
    return page_response(
        request,
        "compare.html",
        files=files,
        jobs=jobs,
        differences=_differences(jobs),
        left_out=max(0, len(chosen) - _MOST),
    )


def _differences(jobs: list[Job]) -> list[tuple[str, list[str]]]:
    """Return the params that are not the same in all jobs, with the value of each job."""
    names = dict.fromkeys(name for job in jobs for name in job.params)
    rows: list[tuple[str, list[Any]]] = [("operation", [job.operation for job in jobs])]
    rows += [(name, [job.params.get(name) for job in jobs]) for name in names]
    return [(name, [_text(value) for value in values]) for name, values in rows if not _equal(values)]


def _equal(values: list[Any]) -> bool:
    return all(value == values[0] for value in values)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    text, is_cut = (value, False) if isinstance(value, str) else indented(value, _MOST_VALUE)
    return f"{text[:_MOST_VALUE]}…" if is_cut or len(text) > _MOST_VALUE else text
