"""Schedules: store, list, read, pause, resume, run and delete them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Path, Query, Response
from pydantic import Field

from callsheet.api import examples_schedules as examples
from callsheet.api.cursors import Limit
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.schedules import Schedule, ScheduleRun, ScheduleSpec
from callsheet.domain.stored_names import StoredName
from callsheet.engine.schedules.checks import check_schedule
from callsheet.engine.schedules.store import (
    delete_schedule,
    get_schedule,
    list_runs,
    list_schedules,
    pause_schedule,
    resume_schedule,
    store_schedule,
)

router = APIRouter(prefix="/api/schedules", tags=["schedules"])

Name = Annotated[StoredName, Path(description="Name of the schedule", examples=["morning-ad"])]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="A repeated request with the same key starts no second execution"),
]


class ScheduleRequest(ScheduleSpec):
    """A schedule to store."""

    paused: bool | None = Field(None, description="Null: a new schedule is active, and a replaced one stays as it is")


class ScheduleList(Model):
    """The schedules."""

    schedules: list[Schedule] = Field(description="By name")


class ScheduleRunList(Model):
    """The history of a schedule."""

    runs: list[ScheduleRun] = Field(description="Newest first")


class StartedRun(Model):
    """The execution that was started."""

    execution_id: UUID | None = Field(description="Null: a task of the server, which has no execution")


@router.get(
    "", name="list_schedules", summary="List schedules", responses={**problem_responses(), 200: examples.schedule_list}
)
async def list_all(runtime: RuntimeDep) -> ScheduleList:
    """Return all schedules, each with its next time and its newest run."""
    return ScheduleList(schedules=await list_schedules(runtime.database))


@router.put(
    "/{name}",
    name="put_schedule",
    summary="Store a schedule",
    responses={**problem_responses(404, 409, 422), 200: examples.schedule},
)
async def put(
    name: Name,
    request: Annotated[ScheduleRequest, Body(openapi_examples=examples.requests)],
    runtime: RuntimeDep,
    caller: CallerDep,
) -> Schedule:
    """Store a schedule, or replace the one of this name. Its plan is checked now, and again at each time.

    Executions belong to the API key that stores the schedule; when it is revoked, they are refused. A schedule of the
    settings cannot be replaced (409).
    """
    spec = ScheduleSpec(**{field: getattr(request, field) for field in request.model_fields_set - {"paused"}})
    await check_schedule(runtime.database, spec, runtime.catalog, runtime.settings)
    return await store_schedule(
        runtime.database,
        name,
        spec,
        paused=request.paused,
        api_key=caller.key_id,
        created_by=caller.name,
    )


@router.get(
    "/{name}",
    name="read_schedule",
    summary="Read a schedule",
    responses={**problem_responses(404, 422), 200: examples.schedule},
)
async def read(name: Name, runtime: RuntimeDep) -> Schedule:
    """Return a schedule with its next time and its newest run."""
    return await get_schedule(runtime.database, name)


@router.get(
    "/{name}/runs",
    name="list_schedule_runs",
    summary="List the runs of a schedule",
    responses={**problem_responses(404, 422), 200: examples.runs},
)
async def runs(
    name: Name,
    runtime: RuntimeDep,
    before: Annotated[
        datetime | None, Query(description="Runs that were due before this time: `dueAt` of the last run of a page")
    ] = None,
    limit: Limit = 50,
) -> ScheduleRunList:
    """Return what became of the times of a schedule, newest first."""
    return ScheduleRunList(runs=await list_runs(runtime.reads, name, before=before, limit=limit))


@router.delete(
    "/{name}",
    status_code=204,
    name="delete_schedule",
    summary="Delete a schedule",
    responses={**problem_responses(404, 409, 422), 204: {"description": "Deleted"}},
)
async def delete(name: Name, runtime: RuntimeDep) -> None:
    """Delete a schedule with its history. Its executions stay."""
    await delete_schedule(runtime.database, name)


@router.post(
    "/{name}/pause",
    name="pause_schedule",
    summary="Pause a schedule",
    responses={**problem_responses(404, 422), 200: examples.schedule},
)
async def pause(name: Name, runtime: RuntimeDep) -> Schedule:
    """Start nothing until the schedule is resumed. Executions in progress continue."""
    return await pause_schedule(runtime.database, name)


@router.post(
    "/{name}/resume",
    name="resume_schedule",
    summary="Resume a schedule",
    responses={**problem_responses(404, 422), 200: examples.schedule},
)
async def resume(name: Name, runtime: RuntimeDep) -> Schedule:
    """Continue with the next time from now. Times that passed in the pause are not missed."""
    return await resume_schedule(runtime.database, name)


@router.post(
    "/{name}/run",
    status_code=202,
    name="run_schedule",
    summary="Run a schedule now",
    responses={**problem_responses(402, 404, 409, 422), 202: examples.started},
)
async def run(
    name: Name, runtime: RuntimeDep, response: Response, idempotency_key: IdempotencyKey = None
) -> StartedRun:
    """Start an execution at once, whatever the times of the schedule and its earlier executions."""
    execution_id = await runtime.schedule_runner().start_now(name, idempotency_key)
    if execution_id is not None:
        response.headers["Location"] = f"/api/executions/{execution_id}"
    return StartedRun(execution_id=execution_id)
