"""What lies over the scenes of a film, and when it is seen."""

from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.rendering.layers import Layer
from callsheet.media.subtitles.ass import Line


@dataclass(frozen=True, slots=True)
class TextLayer:
    """Texts at one height above the scenes. Times are seconds of the film."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class AssScript:
    """A subtitle script that somebody made, in the folder that FFmpeg runs in; it is drawn as it is."""

    name: str
    digest: str
    """Of its contents."""
    shown: tuple[tuple[float, float], ...]
    """The seconds of the film at which it shows something."""


Above = Layer | TextLayer | AssScript
"""Something that lies over the scenes."""


def is_seen(thing: Above, start: int, end: int, rate: Fraction) -> bool:
    """Tell whether something that lies above is seen between two frames."""
    if isinstance(thing, Layer):
        return thing.start < end and start < thing.end
    if isinstance(thing, TextLayer):
        return bool(lines_seen(thing, start, end, rate))
    return any(begin * rate < end and start < finish * rate for begin, finish in thing.shown)


def lines_seen(lettering: TextLayer, start: int, end: int, rate: Fraction) -> list[Line]:
    """Return the lines that are seen between two frames."""
    first, last = float(start / rate), float(end / rate)
    return [line for line in lettering.lines if line.start < last and first < line.end]
