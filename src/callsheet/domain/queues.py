"""Built-in queues, their default priorities and their aliases."""

DEFAULT_PRIORITIES: dict[str, int] = {
    "render": 10,
    "transcode": 7,
    "caption": 6,
    "speech": 6,
    "preview": 5,
    "generate": 5,
    "gpu": 5,
    "train": 1,
    "default": 5,
}
"""Default priority of a job, by queue. A higher priority runs first."""

COMFYUI_QUEUE = "comfyui"
"""Queue of jobs on ComfyUI servers. A worker runs as many of them as its servers take."""


def priority_of(queue: str) -> int:
    """Return the default priority of jobs in this queue."""
    return DEFAULT_PRIORITIES.get(queue, DEFAULT_PRIORITIES["default"])


ALIASES: dict[str, str] = {
    "render_queue": "render",
    "transcode_queue": "transcode",
    "caption_queue": "caption",
    "preview_queue": "preview",
}
"""Other names of queues, from the systems that Callsheet replaces."""


def canonical_queue(name: str) -> str:
    """Return the name under which a queue is stored."""
    return ALIASES.get(name, name)
