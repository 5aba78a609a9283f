"""Layers above the scenes: placed overlays, texts and ASS scripts, and when they are visible."""

from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.subtitles.ass import Line


@dataclass(frozen=True, slots=True)
class TextLayer:
    """Texts that are drawn together. The times of the lines are seconds of the video."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class AssScript:
    """A client's ASS script, drawn with its own style. The file is in the working folder of FFmpeg."""

    name: str
    digest: str
    """SHA-256 of its contents."""
    intervals: tuple[tuple[float, float], ...]
    """Start and end of each time at which it draws something, in seconds of the video."""


Layer = OverlayPlacement | TextLayer | AssScript
"""A layer above the scenes."""


def is_visible(layer: Layer, start: int, end: int, rate: Fraction) -> bool:
    """Return whether a layer is visible in the frames from `start` to `end` (not included)."""
    if isinstance(layer, OverlayPlacement):
        return layer.start < end and start < layer.end
    if isinstance(layer, TextLayer):
        return bool(visible_lines(layer, start, end, rate))
    return any(begin * rate < end and start < finish * rate for begin, finish in layer.intervals)


def visible_lines(layer: TextLayer, start: int, end: int, rate: Fraction) -> list[Line]:
    """Return the lines that are visible in the frames from `start` to `end` (not included)."""
    first, last = float(start / rate), float(end / rate)
    return [line for line in layer.lines if line.start < last and first < line.end]
