"""How a text comes and goes."""

from dataclasses import dataclass
from typing import Literal

Slide = Literal["left", "right", "up", "down"]
"""Where to a text moves."""

Point = tuple[float, float]

_WAYS: dict[Slide, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_SLIDE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Motion:
    """The coming and going of a text that is seen from `start` to `end` of the film."""

    start: float
    end: float
    fade_in: float = 0.0
    fade_out: float = 0.0
    slide_in: Slide | None = None
    slide_out: Slide | None = None

    def windows(self) -> list[tuple[float, float]]:
        """Return the times of the events it takes: one moves once, so sliding in as well as out takes two."""
        if not (self.slide_in and self.slide_out):
            return [(self.start, self.end)]
        middle = round((self.start + self.end) / 2, 2)
        return [(self.start, middle), (middle, self.end)]

    @property
    def _half(self) -> float:
        return (self.end - self.start) / 2

    def fade(self, start: float, end: float) -> str:
        """Return the command that fades an event which lasts from `start` to `end`, if it fades in that time."""
        appear, vanish = min(self.fade_in, self._half), min(self.fade_out, self._half)
        appeared, vanishing = self.start + appear, self.end - vanish
        if not (appear and start < appeared) and not (vanish and end > vanishing):
            return ""
        if (start, end) == (self.start, self.end):
            return f"\\fad({appear * 1000:.0f},{vanish * 1000:.0f})"
        times = (self.start, appeared, vanishing, self.end)
        return "\\fade(255,0,255," + ",".join(f"{(time - start) * 1000:.0f}" for time in times) + ")"

    def slide(self, start: float, end: float, rest: Point, frame: Point) -> str:
        """Return the command that brings an event to where it rests, or away from there, beyond the edge."""
        came = self.start + min(self.fade_in or _SLIDE_SECONDS, self._half)
        goes = self.end - min(self.fade_out or _SLIDE_SECONDS, self._half)
        if self.slide_in and start < came:
            return _move(_beyond(rest, frame, self.slide_in, -1), rest, self.start - start, came - start)
        if self.slide_out and end > goes:
            return _move(rest, _beyond(rest, frame, self.slide_out, 1), goes - start, self.end - start)
        return f"\\pos({rest[0]:.1f},{rest[1]:.1f})"


def _beyond(rest: Point, frame: Point, slide: Slide, sign: int) -> Point:
    across, down = _WAYS[slide]
    return rest[0] + sign * across * frame[0], rest[1] + sign * down * frame[1]


def _move(origin: Point, goal: Point, begin: float, finish: float) -> str:
    points = ",".join(f"{n:.1f}" for n in (*origin, *goal))
    return f"\\move({points},{begin * 1000:.0f},{finish * 1000:.0f})"
