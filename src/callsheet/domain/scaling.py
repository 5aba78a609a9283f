"""How many workers a queue should have."""

import math
from datetime import datetime

from pydantic import Field

from callsheet.domain.model import Model
from callsheet.domain.records import QueueRecord


class QueueScaling(Model):
    """How many workers a queue should have, and why."""

    queue: str
    desired_workers: int = Field(description="Workers that the queue should have, within the bounds of the request")
    workers: int = Field(description="Working workers with a slot for the queue")
    slots_per_worker: float = Field(description="Slots of each of them on average; without workers, of the settings")
    needed_slots: float = Field(description="Running jobs, and the part of the queued ones that should start at once")
    queued: int
    running: int
    oldest_wait: float = Field(description="Seconds since the oldest queued job became ready")


def needed_slots(queue: QueueRecord, *, oldest_wait: float, target_wait: float) -> float:
    """Return how many slots a queue needs now, from the ages in seconds.

    All running jobs count. Of the queued ones, the part counts that the age of the oldest one has of `target_wait`: a
    queue that is emptied within that time needs no more workers, and all jobs count once it is not. Queued jobs of a
    paused queue do not count, and no more than the limit of running jobs.
    """
    share = 1.0 if target_wait <= 0 else min(1.0, oldest_wait / target_wait)
    # At least one: the first job of an empty queue needs a worker at once.
    queued = 0.0 if queue.paused or queue.queued == 0 else max(1.0, queue.queued * share)
    if queue.max_running is not None:
        queued = max(0.0, min(queued, queue.max_running - queue.running))
    return queue.running + queued


def scale_queue(
    queue: QueueRecord,
    *,
    now: datetime,
    target_wait: float,
    default_slots: int,
    least: int = 0,
    most: int | None = None,
) -> QueueScaling:
    """Return how many workers a queue should have: its needed slots by the slots of a worker, rounded up.

    The result depends on nothing before, and not on the number of workers: the scaler decides how fast to follow it.
    `target_wait` is in seconds; `default_slots` is the size of the lane where no worker has one.
    """
    oldest_wait = max((now - (queue.oldest_queued_at or now)).total_seconds(), 0.0)
    needed = needed_slots(queue, oldest_wait=oldest_wait, target_wait=target_wait)
    slots = queue.slots / queue.workers if queue.workers else float(max(default_slots, 1))
    desired = max(math.ceil(needed / slots), least)
    return QueueScaling(
        queue=queue.name,
        desired_workers=desired if most is None else min(desired, most),
        workers=queue.workers,
        slots_per_worker=round(slots, 2),
        needed_slots=round(needed, 2),
        queued=queue.queued,
        running=queue.running,
        oldest_wait=round(oldest_wait, 3),
    )
