"""Text broken into lines, and made smaller where it would not fit."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from callsheet.media.glyphs import may_break_between, width_of

_SOURCE = re.compile(r"(?P<mark>\{\\[^}]*\})|(?P<line>\\[Nn])|(?P<quoted>\\[{}h])|(?P<plain>.)", re.DOTALL)
_JOINS = frozenset("\u200d\ufe0e\ufe0f\u20e3")
_FULLEST = 0.97
"""Widths are summed without kerning, and other fonts differ a little."""
_SMALLEST = 0.6
"""A long word may make the text this much smaller; beyond that it is broken."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A letter with its marks, as the script spells it."""

    source: str
    plain: str
    mark: bool = False
    """A command of the script; it takes no room."""
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


def units_of(text: str) -> list[Unit]:
    """Take a text of a script apart."""
    units: list[Unit] = []
    for found in _SOURCE.finditer(text):
        source = found[0]
        if found["mark"] or found["line"]:
            units.append(Unit(source, "", mark=bool(found["mark"]), forced=bool(found["line"])))
            continue
        plain = " " if source == "\\h" else source[-1]
        if units and _belongs_to(plain, units[-1].plain):
            units[-1] = Unit(units[-1].source + source, units[-1].plain + plain)
        else:
            units.append(Unit(source, plain))
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


def typeset(units: Sequence[Unit], room: Room, size: float) -> Setting:
    """Return the lines of a text that is to have the given size, or less where it would not fit."""
    widths = _Widths(units)
    size = widths.shrunk_for_long_words(size, room)
    while True:
        starts = widths.lines(room.width * _FULLEST / size, room.letter_spacing / size)
        setting = Setting(starts, size, widths.widest(starts, room.letter_spacing / size) * size)
        if setting.height(room.line_height) <= room.height or size < 1:
            return widths.balanced(setting, room)
        size *= 0.94


class _Widths:
    """The widths of units, for a line of height 1."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self.each = [0.0 if unit.mark or unit.forced else width_of(unit.plain) for unit in units]
        self.breaks = _breaks(units)

    def shrunk_for_long_words(self, size: float, room: Room) -> float:
        longest = max((self._of(a, b, room.letter_spacing / size) for a, b in pairwise(self._words())), default=0.0)
        if longest == 0 or longest * size <= room.width * _FULLEST:
            return size
        return max(size * _SMALLEST, room.width * _FULLEST / longest)

    def lines(self, most: float, spacing: float) -> tuple[int, ...]:
        """Fill lines one after another."""
        starts, chance, wide = [0], 0, 0.0
        for at, unit in enumerate(self.units):
            if at in self.breaks:
                chance = at
            if at > 0 and self.units[at - 1].forced:
                starts.append(at)
                wide = 0.0
            wide += self._of(at, at + 1, spacing)
            if wide > most and at > starts[-1] and not (unit.blank or unit.mark or unit.forced):
                starts.append(chance if chance > starts[-1] else at)
                wide = self._of(starts[-1], at + 1, spacing)
        return tuple(starts)

    def balanced(self, setting: Setting, room: Room) -> Setting:
        """Make lines alike in length, without more of them."""
        spacing = room.letter_spacing / setting.size
        low, high = 0.0, setting.widest / setting.size
        best = setting.starts
        for _ in range(8):
            middle = (low + high) / 2
            starts = self.lines(middle, spacing)
            if len(starts) == len(setting.starts) and self.widest(starts, spacing) <= middle:
                best, high = starts, middle
            else:
                low = middle
        return Setting(best, setting.size, self.widest(best, spacing) * setting.size)

    def widest(self, starts: Iterable[int], spacing: float) -> float:
        return max(self._of(a, self._visible_end(a, b), spacing) for a, b in pairwise([*starts, len(self.units)]))

    def _visible_end(self, start: int, end: int) -> int:
        while end > start and (self.units[end - 1].blank or self.units[end - 1].forced):
            end -= 1
        return end

    def _words(self) -> list[int]:
        forced = {at + 1 for at, unit in enumerate(self.units) if unit.forced}
        return sorted({0, len(self.units)} | self.breaks | forced)

    def _of(self, start: int, end: int, spacing: float) -> float:
        visible = self._visible_end(start, end) if end - start > 1 else end
        return sum(self.each[start:visible]) + spacing * sum(map(bool, self.each[start:visible]))


def _breaks(units: Sequence[Unit]) -> set[int]:
    """Return the units that may begin a line."""
    seen = [at for at, unit in enumerate(units) if not (unit.mark or unit.forced)]
    return {b for a, b in pairwise(seen) if may_break_between(units[a].plain, units[b].plain)}
