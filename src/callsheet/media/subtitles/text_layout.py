"""A text laid in lines in its place."""

from collections.abc import Sequence
from dataclasses import dataclass

from callsheet.media.subtitles.glyph_metrics import reads_leftward
from callsheet.media.subtitles.placement import Placement
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import scaled
from callsheet.media.subtitles.text_wrapping import Room, Setting, TextUnit, wrap_text

_FROM_THE_LEFT, _FROM_THE_RIGHT = "\u200e", "\u200f"
_LARGEST = 0.8
"""Of the shorter side of the picture."""
_LETTER = r"{\fscx0\fscy0}a{\fscx100\fscy100}"
"""A letter of no size. Without any letter the renderer knows no script, and takes joined emoji apart."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """A text in lines."""

    units: Sequence[TextUnit]
    setting: Setting
    parts: Sequence[str]
    """How the script spells each unit, with the end of the line before it."""


def layout_text(units: Sequence[TextUnit], room: Room, size: float) -> TextLayout:
    """Lay a text in lines that fit into the room."""
    setting = wrap_text(units, room, size)
    between, starts = _line_end(setting.size, room.line_height), set(setting.starts) - {0}
    parts = [
        (between if at in starts else "") + ("" if unit.forced or (at + 1 in starts and unit.blank) else unit.source)
        for at, unit in enumerate(units)
    ]
    for at, direction in _directions(units, starts).items():
        parts[at] = between + direction + parts[at].removeprefix(between)
    if _joins_without_letters(units):
        parts[0] = _LETTER + parts[0]
    return TextLayout(units, setting, parts)


def _directions(units: Sequence[TextUnit], starts: set[int]) -> dict[int, str]:
    """Return the marks of direction for lines that go on with a paragraph, by the units they begin with.

    The renderer takes every line for a paragraph of its own, which would turn a line around whose first word is of
    the other direction.
    """
    if not any(reads_leftward(unit.plain) for unit in units):
        return {}
    marks: dict[int, str] = {}
    direction = None
    for at, unit in enumerate(units):
        if at in starts and direction is not None and not units[at - 1].forced:
            marks[at] = direction
        if unit.forced:
            direction = None
        elif direction is None and unit.plain[:1].isalpha():
            direction = _FROM_THE_RIGHT if reads_leftward(unit.plain) else _FROM_THE_LEFT
    return marks


def _joins_without_letters(units: Sequence[TextUnit]) -> bool:
    return any("\u200d" in unit.plain for unit in units) and not any(unit.plain[:1].isalpha() for unit in units)


def _line_end(size: float, line_height: float) -> str:
    if line_height <= 1:
        return "\\N"
    # An empty line is half as high as its letters would be.
    return f"{{\\fs{2 * size * (line_height - 1):.1f}}}\\N\\N{{\\fs{size:.1f}}}"


def settle(
    style: TextStyle, units: Sequence[TextUnit], *, width: int, height: int, rotation: float
) -> tuple[Placement, TextLayout]:
    """Lay a text of a completed style in its place, smaller as a whole where it would not fit."""
    wanted = style.font_size or 1.0
    size = min(wanted, min(width, height) * _LARGEST)
    while True:
        place = Placement(scaled(style, size / wanted), width, height, rotation)
        laid = layout_text(units, place.room, size)
        if size < 1 or (laid.setting.size > size * 0.999 and place.holds(laid.setting)):
            return place, laid
        # What surrounds the letters takes less room when they are smaller.
        size = min(size * 0.94, max(laid.setting.size, size * 0.7))
