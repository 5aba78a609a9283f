"""Stages of a fake task. The last stage of a script is permanent.

    replicate.script(Queued(), Running(0.4), UnknownStatus("warming_up"), Succeeded())

A poll returns the current stage and advances the task to the next one; with a `pace`, time advances it.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal


@dataclass(frozen=True, slots=True)
class FakeFile:
    """An output file of a task."""

    name: str
    media_type: str
    data: bytes
    url: str | None = None
    """The reported URL; None: a URL of the fake."""


def sample_video(name: str = "video.mp4", *, url: str | None = None) -> FakeFile:
    """Return a real video: one second, 64 by 64 pixels, with audio."""
    return FakeFile(name, "video/mp4", _resource("video.mp4"), url)


def sample_image(name: str = "image.png", *, url: str | None = None) -> FakeFile:
    """Return a real image, 64 by 64 pixels."""
    return FakeFile(name, "image/png", _resource("image.png"), url)


@dataclass(frozen=True, slots=True)
class Queued:
    """The task has not started."""


@dataclass(frozen=True, slots=True)
class Running:
    """The task runs."""

    progress: float | None = None


@dataclass(frozen=True, slots=True)
class UnknownStatus:
    """The provider reports a status that is not documented."""

    status: str = "hibernating"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The task has succeeded with these files; None: with a video, or an image for an image model."""

    files: tuple[FakeFile, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The task has failed."""

    message: str = "CUDA out of memory"
    why: Literal["error", "content", "deadline"] = "error"
    """`content`: the content moderation of the provider refused it."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The task was cancelled."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The task has succeeded, and its files were deleted."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The provider does not know the task any more."""


Stage = Queued | Running | UnknownStatus | Succeeded | Failed | Cancelled | Expired | Lost
FINAL_STAGES = (Succeeded, Failed, Cancelled, Expired, Lost)


def _resource(name: str) -> bytes:
    return (files("callsheet.fakes.providers") / name).read_bytes()
