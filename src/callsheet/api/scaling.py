"""How many workers the queues should have, for programs that scale them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.clock import shared_now
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.durations import Duration
from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.model import Model
from callsheet.domain.queues import canonical_queue
from callsheet.domain.records import QueueRecord
from callsheet.domain.scaling import QueueScaling
from callsheet.engine.reads.queues import list_queues
from callsheet.engine.reads.scaling import scale_queues

router = APIRouter(prefix="/api/queues", tags=["queues"])

_MOST = 100_000


class Scaling(Model):
    """How many workers there should be."""

    desired_workers: int = Field(
        description="For workers that serve all of these queues: the largest number that one of them should have"
    )
    queues: list[QueueScaling] = Field(description="Sorted by name")


@router.get(
    "/scaling",
    name="read_scaling",
    summary="Read how many workers there should be",
    responses={**problem_responses(422), 200: examples.scaling},
)
async def read_scaling(
    runtime: RuntimeDep,
    queue: Annotated[list[str] | None, Query(description="Only this queue; can be repeated. Default: all")] = None,
    least: Annotated[int, Query(alias="min", ge=0, le=_MOST, description="Smallest number of workers")] = 0,
    most: Annotated[int | None, Query(alias="max", ge=0, le=_MOST, description="Largest number of workers")] = None,
    target_wait: Annotated[
        Duration | None,
        Query(alias="targetWait", description="Time in which a queued job should start. Default: that of the settings"),
    ] = None,
) -> Scaling:
    """Return the number of workers that each queue should have: needed slots, divided by the slots of a worker.

    Needed are the running jobs, and of the queued ones the part that the age of the oldest one has of `targetWait`.
    The number depends on nothing before: how fast to follow it, and whether to wait before workers are removed, is
    decided by the program that scales.
    """
    if most is not None and most < least:
        raise ProblemList([Problem("max", "out_of_range", f"{most} is less than min, which is {least}")])
    wait = runtime.settings.scaling_target_wait if target_wait is None else target_wait
    queues = _chosen(await list_queues(runtime.database, runtime.catalog), queue)
    found = scale_queues(
        queues,
        now=shared_now(),
        target_wait=wait.total_seconds(),
        lanes=runtime.settings.lanes,
        least=least,
        most=most,
    )
    return Scaling(desired_workers=max((each.desired_workers for each in found), default=least), queues=found)


def _chosen(queues: list[QueueRecord], names: list[str] | None) -> list[QueueRecord]:
    if names is None:
        return queues
    wanted, known = {canonical_queue(name) for name in names}, [each.name for each in queues]
    if unknown := sorted(wanted - set(known)):
        message = f"there is no queue '{unknown[0]}'{did_you_mean(unknown[0], known)}"
        raise ProblemList([Problem("queue", "invalid_value", message)])
    return [each for each in queues if each.name in wanted]
