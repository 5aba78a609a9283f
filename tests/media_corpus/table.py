"""A row of the corpus: how a file is made, and what every operation must find in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .clips import Recipe

BOTH = (0.5, 1.5)
CORNERS = ("red", "green", "blue", "white")
BY_TURNS = ("finish", "caption", "split")
FILTERED = frozenset({"two of finish, caption, split"})
"""Of `BY_TURNS`, a file has only one, since they open it as their sisters do. Its name decides which one."""
COPIES = frozenset({"mux"})
"""Operations that copy the video, which not every container can hold."""


@dataclass(frozen=True)
class Row:
    """A file and what is in it."""

    name: str
    """With the suffix of its container."""
    make: Recipe
    seconds: float = 2.0
    """The length that people perceive."""
    clear: bool = False
    """Whether its black is transparent."""
    frames: int | None = 50
    """At 25 frames per second. None: not counted, or a file without a picture."""
    flashes: tuple[float, ...] = BOTH
    """The times of white pictures."""
    beeps: tuple[float, ...] = BOTH
    size: tuple[int, int] = (96, 54)
    """As displayed."""
    corners: tuple[str, ...] = CORNERS
    """Their colors, from the top left to the bottom right. Empty: not looked at."""
    level: float | None = 0.7
    """The amplitude of the beeps, as one channel with the power of all. None: not measured."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What `probe` finds among the tags."""
    notes: str = ""
    """Words that the notes of every operation must contain."""
    skip: frozenset[str] = frozenset()
    """Operations that do not take it, or that are left out."""
    also: frozenset[str] = frozenset()
    """Further operations: `upscale`, `interpolate`, `hls`, `overlay`."""
    slack: float = 0.1
    """Seconds by which times may differ: lossy audio starts with silence, and frames have their grid."""
    refused: str = ""
    """Words of the error of every operation, for a file that cannot be read."""


def audible(name: str, make: Recipe, **facts: object) -> Row:
    """Return the row of a file without a picture."""
    return Row(name, make, **{"frames": None, "flashes": (), "level": 0.5, **facts})  # type: ignore[arg-type]


def seen(name: str, make: Recipe, **facts: object) -> Row:
    """Return the row of a file without audio."""
    return Row(name, make, beeps=(), **facts)  # type: ignore[arg-type]
