"""What a task goes through: one stage after the other, the last of which stays.

    replicate.course(Waits(), Runs(0.4), Says("warming_up"), Succeeds())

A look shows a stage, and moves the task on to the next; with a `pace`, time does.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal


@dataclass(frozen=True, slots=True)
class FakeFile:
    """A file that a task makes."""

    name: str
    media_type: str
    data: bytes
    url: str | None = None
    """Where it is said to be, if not at the stand-in."""


def sample_video(name: str = "film.mp4", *, url: str | None = None) -> FakeFile:
    """Return a real film: a second of moving picture, 64 by 64, with sound."""
    return FakeFile(name, "video/mp4", _shipped("film.mp4"), url)


def sample_image(name: str = "picture.png", *, url: str | None = None) -> FakeFile:
    """Return a real picture, 64 by 64."""
    return FakeFile(name, "image/png", _shipped("picture.png"), url)


@dataclass(frozen=True, slots=True)
class Queued:
    """It has not begun."""


@dataclass(frozen=True, slots=True)
class Running:
    """It is worked on."""

    progress: float | None = None


@dataclass(frozen=True, slots=True)
class UnknownStatus:
    """It is in a state that nobody has heard of."""

    status: str = "hibernating"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """It is done, and made these; None: a film."""

    files: tuple[FakeFile, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It came to nothing."""

    message: str = "CUDA out of memory"
    why: Literal["error", "content", "deadline"] = "error"
    """`content`: the provider's censor did not like it."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was cancelled."""


@dataclass(frozen=True, slots=True)
class Expired:
    """It is done, and what it made is not kept any more."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The provider does not know it any more."""


Stage = Queued | Running | UnknownStatus | Succeeded | Failed | Cancelled | Expired | Lost
FINAL_STAGES = (Succeeded, Failed, Cancelled, Expired, Lost)
"""The stages that a task does not leave."""


def _shipped(name: str) -> bytes:
    return (files("callsheet.fakes.providers") / name).read_bytes()
