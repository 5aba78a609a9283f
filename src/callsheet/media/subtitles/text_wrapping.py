"""Text broken into lines, and made smaller where it would not fit."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from callsheet.media.subtitles.glyph_metrics import may_break_between, width_of

_SOURCE = re.compile(r"(?P<mark>\{\\[^}]*\})|(?P<line>\\[Nn])|(?P<quoted>\\[{}h])|(?P<plain>.)", re.DOTALL)
_JOINS = frozenset("\u200d\ufe0e\ufe0f\u20e3")
_FULLEST = 0.97
"""Widths are summed without kerning, and other fonts differ a little."""
_SMALLEST = 0.6
"""A long word may make the text this much smaller; beyond that it is broken."""


@dataclass(frozen=True, slots=True)
class TextUnit:
    """A letter with its marks, as the script spells it."""

    source: str
    plain: str
    """Empty for commands of the script, which take no room."""
    forced: bool = False
    """A new line that the text asks for."""

    @property
    def blank(self) -> bool:
        """Tell whether nothing is lost when a line ends here."""
        return self.plain.isspace()


@dataclass(frozen=True, slots=True)
class Setting:
    """How a text is set."""

    starts: tuple[int, ...]
    """The units that lines begin with."""
    size: float
    """Height of a line."""
    widest: float
    """Width of the longest line."""

    def height(self, line_height: float) -> float:
        """Return the height of all lines."""
        return self.size * (1 + (len(self.starts) - 1) * line_height)


@dataclass(frozen=True, slots=True)
class Room:
    """What a text may fill, in pixels."""

    width: float
    height: float
    line_height: float = 1.0
    letter_spacing: float = 0.0


def units_of(text: str) -> list[TextUnit]:
    """Take a text of a script apart."""
    units: list[TextUnit] = []
    for found in _SOURCE.finditer(text):
        source = found[0]
        if found["mark"] or found["line"]:
            units.append(TextUnit(source, "", forced=bool(found["line"])))
            continue
        plain = " " if source == "\\h" else source[-1]
        if units and _belongs_to(plain, units[-1].plain):
            units[-1] = TextUnit(units[-1].source + source, units[-1].plain + plain)
        else:
            units.append(TextUnit(source, plain))
    return units


def _belongs_to(letter: str, before: str) -> bool:
    if not before or before.isspace():
        return False
    return (
        letter in _JOINS
        or before[-1] == "\u200d"
        or unicodedata.category(letter) in {"Mn", "Mc", "Me"}
        or "\U0001f3fb" <= letter <= "\U0001f3ff"
        or "\U000e0020" <= letter <= "\U000e007f"
        or (_is_flag_half(letter) and len(before) == 1 and _is_flag_half(before))
    )


def _is_flag_half(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


def wrap_text(units: Sequence[TextUnit], room: Room, size: float) -> Setting:
    """Return the lines of a text that is to have the given size, or less where it would not fit."""
    text = _Measured(units, room.letter_spacing / size)
    size = _shrunk_for_long_words(text, room, size)
    while True:
        starts = text.lines(room.width * _FULLEST / size)
        setting = Setting(starts, size, text.widest(starts) * size)
        if setting.height(room.line_height) <= room.height or size < 1:
            return _balanced(text, setting)
        size *= 0.94


def _shrunk_for_long_words(text: "_Measured", room: Room, size: float) -> float:
    longest = text.longest_word()
    if longest * size <= room.width * _FULLEST:
        return size
    return max(size * _SMALLEST, room.width * _FULLEST / longest)


def _balanced(text: "_Measured", setting: Setting) -> Setting:
    """Make lines alike in length, without more of them."""
    if len(setting.starts) == 1:
        return setting
    low, high = 0.0, setting.widest / setting.size
    best = setting.starts
    for _ in range(7):
        middle = (low + high) / 2
        starts = text.lines(middle)
        if len(starts) == len(setting.starts) and text.widest(starts) <= middle:
            best, high = starts, middle
        else:
            low = middle
    return Setting(best, setting.size, text.widest(best) * setting.size)


class _Measured:
    """A text with its widths, for a line of height 1."""

    def __init__(self, units: Sequence[TextUnit], spacing: float) -> None:
        self.units = units
        self.solid = [bool(unit.plain) and not unit.blank for unit in units]
        each = (width_of(unit.plain) + spacing if unit.plain else 0.0 for unit in units)
        self.reach = [0.0, *accumulate(each)]
        self.forced = {at + 1 for at, unit in enumerate(units) if unit.forced}
        self.chances = _chances(units)

    def lines(self, most: float) -> tuple[int, ...]:
        """Fill lines of at most that width, one after another, and return where they start."""
        starts, chance = [0], 0
        for at, solid in enumerate(self.solid):
            if at in self.forced:
                starts.append(at)
            if at in self.chances:
                chance = at
            if solid and at > starts[-1] and self.reach[at + 1] - self.reach[starts[-1]] > most:
                starts.append(chance if chance > starts[-1] else at)
        return tuple(starts)

    def longest_word(self) -> float:
        edges = sorted({0, len(self.units)} | self.chances | self.forced)
        return self.widest(edges[:-1])

    def widest(self, starts: Sequence[int]) -> float:
        """Return the width of the longest of the lines that start there."""
        return max(self._width(a, b) for a, b in pairwise([*starts, len(self.units)]))

    def _width(self, start: int, end: int) -> float:
        while end > start and not self.solid[end - 1]:
            end -= 1
        return self.reach[end] - self.reach[start]


def _chances(units: Sequence[TextUnit]) -> set[int]:
    """Return the units that may begin a line."""
    seen = [at for at, unit in enumerate(units) if unit.plain]
    return {b for a, b in pairwise(seen) if may_break_between(units[a].plain, units[b].plain)}
