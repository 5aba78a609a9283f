"""Read how many workers the queues should have."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from callsheet.domain.records import QueueRecord
from callsheet.domain.scaling import QueueScaling, scale_queue


def scale_queues(
    queues: Iterable[QueueRecord],
    *,
    now: datetime,
    target_wait: float,
    lanes: Mapping[str, int],
    least: int = 0,
    most: int | None = None,
) -> list[QueueScaling]:
    """Return how many workers each queue should have. `lanes` are those of the settings; see `scale_queue`."""
    return [
        scale_queue(
            queue,
            now=now,
            target_wait=target_wait,
            default_slots=lanes.get(queue.name, lanes.get("default", 1)),
            least=least,
            most=most,
        )
        for queue in queues
    ]
