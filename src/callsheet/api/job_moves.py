"""Moves of jobs: run next, hold, release, change the queue or the priority, start later."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import AwareDatetime, Field

from callsheet.api import examples
from callsheet.api import examples_moves as move_examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.records import Job
from callsheet.engine.jobs.moves import (
    MAX_PRIORITY,
    change_queue_of_job,
    hold_job,
    prioritize_job,
    release_job,
    run_job_next,
    start_job_later,
)
from callsheet.engine.reads.jobs import get_job

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

_RESPONSES = {**problem_responses(404, 409), 200: examples.job}
_RESPONSES_TO_BODY = {**problem_responses(404, 409, 422), 200: examples.job}


class QueueChoice(Model):
    """Another queue."""

    queue: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$", examples=["preview"])


class PriorityChoice(Model):
    """Another priority."""

    priority: int = Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="A higher priority runs first")


class StartChoice(Model):
    """A later start."""

    start_at: AwareDatetime = Field(description="In the future, with its UTC offset", examples=["2026-12-24T18:00:00Z"])


@router.post("/{job_record_id}/run-next", name="run_job_next", summary="Run a job next", responses=_RESPONSES)
async def run_next(job_record_id: UUID, runtime: RuntimeDep) -> Job:
    """Make a job the first of its queue, now: a backoff or a later start ends, and its priority rises above all."""
    await run_job_next(runtime.database, job_record_id)
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post("/{job_record_id}/hold", name="hold_job", summary="Hold a job", responses=_RESPONSES)
async def hold(job_record_id: UUID, runtime: RuntimeDep) -> Job:
    """Keep a job from starting until it is released, also when the jobs that it waits for have ended."""
    await hold_job(runtime.database, job_record_id)
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post("/{job_record_id}/release", name="release_job", summary="Release a held job", responses=_RESPONSES)
async def release(job_record_id: UUID, runtime: RuntimeDep) -> Job:
    """End the hold of a job. It starts when nothing else keeps it back."""
    await release_job(runtime.database, job_record_id)
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post(
    "/{job_record_id}/change-queue",
    name="change_queue_of_job",
    summary="Move a job to another queue",
    responses=_RESPONSES_TO_BODY,
)
async def change_queue(
    job_record_id: UUID,
    choice: Annotated[QueueChoice, Body(openapi_examples=move_examples.queue_choices)],
    runtime: RuntimeDep,
) -> Job:
    """Move a job that does not run to another queue. A worker with a lane for it, and with the operation, runs it."""
    await change_queue_of_job(runtime.database, runtime.catalog, job_record_id, choice.queue)
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post(
    "/{job_record_id}/prioritize",
    name="prioritize_job",
    summary="Change the priority of a job",
    responses=_RESPONSES_TO_BODY,
)
async def prioritize(
    job_record_id: UUID,
    choice: Annotated[PriorityChoice, Body(openapi_examples=move_examples.priority_choices)],
    runtime: RuntimeDep,
) -> Job:
    """Change the priority of a job that does not run."""
    await prioritize_job(runtime.database, job_record_id, choice.priority)
    return await get_job(runtime.database, job_record_id, runtime.sign)


@router.post(
    "/{job_record_id}/start-later",
    name="start_job_later",
    summary="Start a job later",
    responses=_RESPONSES_TO_BODY,
)
async def start_later(
    job_record_id: UUID,
    choice: Annotated[StartChoice, Body(openapi_examples=move_examples.start_choices)],
    runtime: RuntimeDep,
) -> Job:
    """Let a job start at a time, not earlier."""
    await start_job_later(runtime.database, job_record_id, choice.start_at)
    return await get_job(runtime.database, job_record_id, runtime.sign)
