"""The notation of lanes: `render=2,preview=4`."""

import re

from callsheet.domain.queues import canonical_queue

DEFAULT_LANES = {
    "render": 2,
    "transcode": 2,
    "caption": 1,
    "speech": 2,
    "preview": 4,
    "generate": 16,
    "comfyui": 4,
    "gpu": 1,
    "train": 1,
    "default": 8,
}
"""Queue → number of its jobs that a worker runs at once."""


def parse_lanes(text: str) -> dict[str, int]:
    """Parse `render=2,preview=4` into queue → slots. Raises ValueError that quotes the invalid part."""
    lanes: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        queue, _, slots = part.partition("=")
        if not queue or not re.fullmatch("[0-9]{1,6}", slots.strip()) or int(slots) < 1:
            raise ValueError(f"'{part}' is not of the form queue=number, as in render=2")
        lanes[canonical_queue(queue.strip())] = int(slots)
    return lanes
