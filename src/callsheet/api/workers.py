"""Workers: list them, read their load, change their lanes, drain and stop them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.records import WorkerRecord
from callsheet.domain.resources import ResourcePoint
from callsheet.engine.fleet.worker_lanes import reset_lanes, set_lanes
from callsheet.engine.fleet.worker_stop import drain_worker, stop_worker
from callsheet.engine.reads.resources import resource_history
from callsheet.engine.reads.workers import list_workers

router = APIRouter(prefix="/api/workers", tags=["workers"])


class WorkerList(Model):
    """The workers."""

    workers: list[WorkerRecord] = Field(description="Live workers first")


class ResourceHistory(Model):
    """The load of the machine of a worker in the last day."""

    points: list[ResourcePoint] = Field(
        description="Oldest first: each measurement of the last two hours, and before that averages of ten minutes"
    )


class WorkerPatch(Model):
    """Changes of a worker."""

    lanes: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        min_length=1, description="Queue → slots: the number of its jobs that run at once. Other lanes do not change"
    )


@router.get("", name="list_workers", summary="List workers", responses={**problem_responses(), 200: examples.workers})
async def list_all_workers(runtime: RuntimeDep) -> WorkerList:
    """Return the worker processes, with their running jobs, last heartbeats, and the load of their machines."""
    return WorkerList(workers=await list_workers(runtime.database))


@router.get(
    "/{worker}/resources",
    name="read_worker_resources",
    summary="Read the load of a worker's machine",
    responses={**problem_responses(404, 422), 200: examples.worker_resources},
)
async def read_resources(
    worker: Annotated[
        str,
        Path(max_length=300, pattern=r"^[^\x00]*$", description="Id or name of the worker; it may have ended"),
    ],
    runtime: RuntimeDep,
) -> ResourceHistory:
    """Return the load of the machine of a worker in the last day: processor, memory, disks and GPUs.

    By name, these are the measurements of all workers that had the name in this time.
    """
    return ResourceHistory(points=await resource_history(runtime.database, worker))


@router.patch(
    "/{worker_id}", summary="Change a worker's lanes", responses={**problem_responses(404, 422), 200: examples.worker}
)
async def change_worker(
    worker_id: UUID,
    patch: Annotated[WorkerPatch, Body(openapi_examples=examples.worker_patches)],
    runtime: RuntimeDep,
) -> WorkerRecord:
    """Change the lanes of a worker. Running jobs continue. With 0, the worker claims no more jobs of that queue.

    Later workers of the same name have these lanes, too, until they are reset.
    """
    return await set_lanes(runtime.database, worker_id, patch.lanes)


@router.delete(
    "/{worker_id}/lanes",
    name="reset_worker_lanes",
    summary="Reset a worker's lanes",
    responses={**problem_responses(404), 200: examples.worker},
)
async def reset_worker_lanes(worker_id: UUID, runtime: RuntimeDep) -> WorkerRecord:
    """Give a worker the lanes of its settings again, also if it was drained."""
    return await reset_lanes(runtime.database, worker_id)


@router.post(
    "/{worker_id}/drain",
    name="drain_worker",
    summary="Drain a worker",
    responses={**problem_responses(404), 200: examples.worker},
)
async def drain(worker_id: UUID, runtime: RuntimeDep) -> WorkerRecord:
    """Close all lanes of a worker: it ends its running jobs and claims no more. Other slots open its lanes again."""
    return await drain_worker(runtime.database, worker_id)


@router.post(
    "/{worker_id}/stop",
    name="stop_worker",
    summary="Stop a worker",
    status_code=202,
    responses={**problem_responses(404, 409), 202: examples.stopping_worker},
)
async def stop(worker_id: UUID, runtime: RuntimeDep) -> WorkerRecord:
    """Let the process of a worker end, as SIGTERM does.

    Running jobs get its grace period; what then still runs is released, and runs elsewhere. The process is not started
    again, except by a service manager that always does so.
    """
    return await stop_worker(runtime.database, worker_id)
