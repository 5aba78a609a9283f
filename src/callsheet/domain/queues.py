"""The queues that Callsheet knows by itself."""

DEFAULT_PRIORITIES: dict[str, int] = {
    "render": 10,
    "transcode": 7,
    "caption": 6,
    "preview": 5,
    "generate": 5,
    "gpu": 5,
    "train": 1,
    "default": 5,
}
"""Priority of a job that names none, by its queue. Bigger is sooner."""


def priority_of(queue: str) -> int:
    """Return the priority that jobs of this queue have unless they name one."""
    return DEFAULT_PRIORITIES.get(queue, DEFAULT_PRIORITIES["default"])
