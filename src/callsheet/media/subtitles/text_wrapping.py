"""Line wrapping of ASS text, with shrink-to-fit."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from callsheet.media.subtitles.glyph_metrics import glyph_width, may_break_between

_SOURCE = re.compile(r"(?P<tag>\{\\[^{}]*+\})|(?P<break>\\[Nn])|(?P<escaped>\\[{}h])|(?P<plain>.)", re.DOTALL)
_JOINERS = frozenset("\u200d\ufe0e\ufe0f\u20e3")
_MAX_FILL = 0.97
"""Usable fraction of the line width. The sum of glyph widths ignores kerning, and other fonts differ slightly."""
_MIN_SHRINK = 0.6
"""Minimum scale of the text for the sake of a long word. A longer word is broken."""


@dataclass(frozen=True, slots=True)
class TextUnit:
    """A grapheme cluster, an override tag or a line break of an ASS text."""

    source: str
    plain: str
    """The visible text; empty for override tags and line breaks."""
    forced_break: bool = False
    """Whether it is an explicit line break."""

    @property
    def is_space(self) -> bool:
        """Whether it is white space, which a line break replaces."""
        return self.plain.isspace()


@dataclass(frozen=True, slots=True)
class WrappedText:
    """Line breaks and size of a text."""

    starts: tuple[int, ...]
    """Index of the first unit of each line."""
    size: float
    """Height of a line, in pixels."""
    width: float
    """Width of the longest line, in pixels."""

    def height(self, line_height: float) -> float:
        """Return the height of all lines, in pixels. `line_height` is the line distance relative to the size."""
        return self.size * (1 + (len(self.starts) - 1) * line_height)


@dataclass(frozen=True, slots=True)
class TextBox:
    """Maximum size of a text, in pixels."""

    width: float
    height: float
    line_height: float = 1.0
    letter_spacing: float = 0.0


def parse_units(text: str) -> list[TextUnit]:
    """Split an ASS text into units."""
    units: list[TextUnit] = []
    for match in _SOURCE.finditer(text):
        source = match[0]
        if match["tag"] or match["break"]:
            units.append(TextUnit(source, "", forced_break=bool(match["break"])))
            continue
        plain = " " if source == "\\h" else source[-1]
        if units and _extends_cluster(plain, units[-1].plain):
            units[-1] = TextUnit(units[-1].source + source, units[-1].plain + plain)
        else:
            units.append(TextUnit(source, plain))
    return units


def _extends_cluster(letter: str, cluster: str) -> bool:
    if not cluster or cluster.isspace():
        return False
    return (
        letter in _JOINERS
        or cluster[-1] == "\u200d"
        or unicodedata.category(letter) in {"Mn", "Mc", "Me"}
        or "\U0001f3fb" <= letter <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= letter <= "\U000e007f"  # tags of subdivision flags
        or (_is_regional_indicator(letter) and len(cluster) == 1 and _is_regional_indicator(cluster))
    )


def _is_regional_indicator(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


def wrap_text(units: Sequence[TextUnit], text_box: TextBox, size: float) -> WrappedText:
    """Break a text into balanced lines. `size` is the line height, which is reduced until the text fits."""
    text = _MeasuredText(units, text_box.letter_spacing / size)
    size = _shrink_for_long_words(text, text_box, size)
    while True:
        starts = text.break_lines(text_box.width * _MAX_FILL / size)
        wrapped = WrappedText(starts, size, text.max_line_width(starts) * size)
        if wrapped.height(text_box.line_height) <= text_box.height or size < 1:
            return _balance(text, wrapped)
        size *= 0.94


def _shrink_for_long_words(text: "_MeasuredText", text_box: TextBox, size: float) -> float:
    longest = text.max_word_width()
    if longest * size <= text_box.width * _MAX_FILL:
        return size
    return max(size * _MIN_SHRINK, text_box.width * _MAX_FILL / longest)


def _balance(text: "_MeasuredText", wrapped: WrappedText) -> WrappedText:
    """Make the lines similar in length without adding lines. A binary search finds the smallest line width."""
    if len(wrapped.starts) == 1:
        return wrapped
    low, high = 0.0, wrapped.width / wrapped.size
    best = wrapped.starts
    for _ in range(7):
        middle = (low + high) / 2
        starts = text.break_lines(middle)
        if len(starts) == len(wrapped.starts) and text.max_line_width(starts) <= middle:
            best, high = starts, middle
        else:
            low = middle
    return WrappedText(best, wrapped.size, text.max_line_width(best) * wrapped.size)


class _MeasuredText:
    """A text with its widths at a line height of 1."""

    def __init__(self, units: Sequence[TextUnit], spacing: float) -> None:
        self.units = units
        self.visible = [bool(unit.plain) and not unit.is_space for unit in units]
        widths = (glyph_width(unit.plain) + spacing if unit.plain else 0.0 for unit in units)
        self.offsets = [0.0, *accumulate(widths)]
        self.forced = {index + 1 for index, unit in enumerate(units) if unit.forced_break}
        self.allowed = _allowed_breaks(units)

    def break_lines(self, max_width: float) -> tuple[int, ...]:
        """Fill lines greedily up to a width, and return the index of the first unit of each line."""
        starts, last_allowed = [0], 0
        for index, visible in enumerate(self.visible):
            if index in self.forced:
                starts.append(index)
            if index in self.allowed:
                last_allowed = index
            if visible and index > starts[-1] and self.offsets[index + 1] - self.offsets[starts[-1]] > max_width:
                starts.append(last_allowed if last_allowed > starts[-1] else index)
        return tuple(starts)

    def max_word_width(self) -> float:
        edges = sorted({0, len(self.units)} | self.allowed | self.forced)
        return self.max_line_width(edges[:-1])

    def max_line_width(self, starts: Sequence[int]) -> float:
        """Return the width of the longest line."""
        return max(self._width(a, b) for a, b in pairwise([*starts, len(self.units)]))

    def _width(self, start: int, end: int) -> float:
        while end > start and not self.visible[end - 1]:
            end -= 1
        return self.offsets[end] - self.offsets[start]


def _allowed_breaks(units: Sequence[TextUnit]) -> set[int]:
    """Return the indexes of units that may begin a line."""
    visible = [index for index, unit in enumerate(units) if unit.plain]
    return {b for a, b in pairwise(visible) if may_break_between(units[a].plain, units[b].plain)}
