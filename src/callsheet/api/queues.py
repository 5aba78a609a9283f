"""Queues: list, pause and limit them."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field, model_validator

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.durations import Duration
from callsheet.domain.model import Model
from callsheet.domain.records import QueueRecord
from callsheet.engine.fleet.queues import QueueChange, Rate, change_queue
from callsheet.engine.reads.queues import list_queues

router = APIRouter(prefix="/api/queues", tags=["queues"])

_MAX_INT32 = 2**31 - 1


class QueueList(Model):
    """The queues."""

    queues: list[QueueRecord] = Field(description="Sorted by name")


class QueuePatch(Model):
    """Changes of a queue. An absent field does not change; null removes a limit."""

    paused: bool | None = Field(
        None, description="Whether the queue is paused: no more jobs start, running jobs continue"
    )
    max_running: int | None = Field(
        None, ge=0, le=_MAX_INT32, description="Maximum number of running jobs, over all workers"
    )
    rate_limit: int | None = Field(
        None, ge=1, le=_MAX_INT32, description="Maximum number of starts in `ratePeriod`, over all workers"
    )
    rate_period: Duration | None = Field(None, description="Period of `rateLimit`")

    @model_validator(mode="after")
    def _check_rate(self) -> "QueuePatch":
        if (self.rate_limit is None) != (self.rate_period is None):
            raise ValueError("rateLimit and ratePeriod go together: set both, or both to null")
        if self.rate_period is not None and self.rate_period <= timedelta(0):
            raise ValueError("ratePeriod must be greater than 0")
        return self

    def change(self) -> QueueChange:
        """Return the change for the engine."""
        given = self.model_fields_set
        rate = Rate(self.rate_limit, self.rate_period) if self.rate_limit and self.rate_period else None
        return QueueChange(
            paused=self.paused,
            max_running=self.max_running,
            rate=rate,
            clear_max_running="max_running" in given and self.max_running is None,
            clear_rate=rate is None and bool(given & {"rate_limit", "rate_period"}),
        )


@router.get("", name="list_queues", summary="List queues", responses={**problem_responses(), 200: examples.queues})
async def list_all_queues(runtime: RuntimeDep) -> QueueList:
    """Return every queue that has an operation, a limit, a lane or a job."""
    return QueueList(queues=await list_queues(runtime.reads, runtime.catalog))


@router.patch(
    "/{name}",
    name="change_queue",
    summary="Change a queue",
    responses={**problem_responses(404, 422), 200: examples.queue},
)
async def change_one_queue(
    name: str, patch: Annotated[QueuePatch, Body(openapi_examples=examples.queue_patches)], runtime: RuntimeDep
) -> QueueRecord:
    """Pause, resume or limit a queue for all workers. The change takes effect immediately."""
    return await change_queue(runtime.database, runtime.catalog, name, patch.change())
