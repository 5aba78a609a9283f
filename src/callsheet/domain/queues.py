"""Built-in queues and their default priorities."""

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
"""Default priority of a job, by queue. A higher priority runs first."""


def priority_of(queue: str) -> int:
    """Return the default priority of jobs in this queue."""
    return DEFAULT_PRIORITIES.get(queue, DEFAULT_PRIORITIES["default"])
