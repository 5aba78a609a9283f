"""Workers: who is there, and how many jobs each runs at once."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.records import WorkerRecord
from callsheet.engine.fleet.worker_lanes import set_lanes
from callsheet.engine.reads.workers import list_workers

router = APIRouter(prefix="/api/workers", tags=["workers"])


class WorkerList(Model):
    """The workers."""

    workers: list[WorkerRecord] = Field(description="Live ones first")


class WorkerPatch(Model):
    """What to change of a worker."""

    lanes: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        min_length=1, description="Queue → how many of its jobs at once; lanes that are not named stay"
    )


@router.get("", name="list_workers", summary="List workers", responses={**problem_responses(), 200: examples.workers})
async def list_all_workers(runtime: RuntimeDep) -> WorkerList:
    """Worker processes, with what each runs and when it was last heard of."""
    return WorkerList(workers=await list_workers(runtime.database))


@router.patch(
    "/{worker_id}", summary="Change a worker's lanes", responses={**problem_responses(404, 422), 200: examples.worker}
)
async def change_worker(
    worker_id: UUID,
    patch: Annotated[WorkerPatch, Body(openapi_examples=examples.worker_patches)],
    runtime: RuntimeDep,
) -> WorkerRecord:
    """Change lanes at run time. Jobs that run go on; 0 lets the worker take no more of that queue."""
    return await set_lanes(runtime.database, worker_id, patch.lanes)
