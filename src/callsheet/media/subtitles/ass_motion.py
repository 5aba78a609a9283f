"""Fade and slide animations of text, as ASS override tags."""

from dataclasses import dataclass
from typing import Literal

Slide = Literal["left", "right", "up", "down"]
"""Direction of the movement."""

Point = tuple[float, float]

_DIRECTIONS: dict[Slide, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_DEFAULT_SLIDE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Motion:
    """Animation of a text that is visible from `start` to `end`, in seconds of the video."""

    start: float
    end: float
    fade_in: float = 0.0
    fade_out: float = 0.0
    slide_in: Slide | None = None
    slide_out: Slide | None = None

    def windows(self) -> list[tuple[float, float]]:
        """Return the time windows of the events. An ASS event moves once, so sliding in and out needs two events."""
        if not (self.slide_in and self.slide_out):
            return [(self.start, self.end)]
        middle = round((self.start + self.end) / 2, 2)
        return [(self.start, middle), (middle, self.end)]

    @property
    def _half(self) -> float:
        return (self.end - self.start) / 2

    def fade_tag(self, start: float, end: float) -> str:
        """Return the fade tag of an event from `start` to `end`; empty if no fade overlaps with it."""
        fade_in, fade_out = min(self.fade_in, self._half), min(self.fade_out, self._half)
        fade_in_end, fade_out_start = self.start + fade_in, self.end - fade_out
        if not (fade_in and start < fade_in_end) and not (fade_out and end > fade_out_start):
            return ""
        if (start, end) == (self.start, self.end):
            return f"\\fad({fade_in * 1000:.0f},{fade_out * 1000:.0f})"
        times = (self.start, fade_in_end, fade_out_start, self.end)
        return "\\fade(255,0,255," + ",".join(f"{(time - start) * 1000:.0f}" for time in times) + ")"

    def position_tag(self, start: float, end: float, rest: Point, frame: Point) -> str:
        """Return the tag that places an event at `rest`, or slides it to or from there.

        `frame` is the width and height of the video. Slides start and end outside of it.
        """
        slide_in_end = self.start + min(self.fade_in or _DEFAULT_SLIDE_SECONDS, self._half)
        slide_out_start = self.end - min(self.fade_out or _DEFAULT_SLIDE_SECONDS, self._half)
        if self.slide_in and start < slide_in_end:
            origin = _off_screen(rest, frame, self.slide_in, -1)
            return _move_tag(origin, rest, self.start - start, slide_in_end - start)
        if self.slide_out and end > slide_out_start:
            target = _off_screen(rest, frame, self.slide_out, 1)
            return _move_tag(rest, target, slide_out_start - start, self.end - start)
        return f"\\pos({rest[0]:.1f},{rest[1]:.1f})"


def _off_screen(rest: Point, frame: Point, slide: Slide, sign: int) -> Point:
    x, y = _DIRECTIONS[slide]
    return rest[0] + sign * x * frame[0], rest[1] + sign * y * frame[1]


def _move_tag(origin: Point, target: Point, start: float, end: float) -> str:
    points = ",".join(f"{n:.1f}" for n in (*origin, *target))
    return f"\\move({points},{start * 1000:.0f},{end * 1000:.0f})"
