"""Layout of a text: line breaks, writing direction and size."""

from collections.abc import Sequence
from dataclasses import dataclass

from callsheet.media.subtitles.glyph_metrics import is_right_to_left
from callsheet.media.subtitles.placement import Placement
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import scale_style
from callsheet.media.subtitles.text_wrapping import TextBox, TextUnit, WrappedText, wrap_text

_LEFT_TO_RIGHT_MARK, _RIGHT_TO_LEFT_MARK = "\u200e", "\u200f"
_MAX_SIZE = 0.8
"""Maximum line height, as a fraction of the shorter side of the frame."""
_INVISIBLE_LETTER = r"{\fscx0\fscy0}a{\fscx100\fscy100}"
"""A letter of size 0. Without any letter, libass detects no script and splits joined emoji."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """A text with line breaks."""

    units: Sequence[TextUnit]
    wrapped: WrappedText
    parts: Sequence[str]
    """ASS text of each unit, including the line break before it."""


def layout_text(units: Sequence[TextUnit], text_box: TextBox, size: float) -> TextLayout:
    """Break a text into lines that fit into the box. `size` is the maximum line height in pixels."""
    wrapped = wrap_text(units, text_box, size)
    line_break, starts = _line_break(wrapped.size, text_box.line_height), set(wrapped.starts) - {0}
    parts = [
        (line_break if index in starts else "")
        + ("" if unit.forced_break or (index + 1 in starts and unit.is_space) else unit.source)
        for index, unit in enumerate(units)
    ]
    for index, direction in _direction_marks(units, starts).items():
        parts[index] = line_break + direction + parts[index].removeprefix(line_break)
    if _has_joined_emoji_only(units):
        parts[0] = _INVISIBLE_LETTER + parts[0]
    return TextLayout(units, wrapped, parts)


def _direction_marks(units: Sequence[TextUnit], starts: set[int]) -> dict[int, str]:
    """Return the direction marks of lines that continue a paragraph, by the index of their first unit.

    libass treats every line as a paragraph. Without a mark, a line whose first word has the other direction would be
    reversed.
    """
    if not any(is_right_to_left(unit.plain) for unit in units):
        return {}
    marks: dict[int, str] = {}
    direction = None
    for index, unit in enumerate(units):
        if index in starts and direction is not None and not units[index - 1].forced_break:
            marks[index] = direction
        if unit.forced_break:
            direction = None
        elif direction is None and unit.plain[:1].isalpha():
            direction = _RIGHT_TO_LEFT_MARK if is_right_to_left(unit.plain) else _LEFT_TO_RIGHT_MARK
    return marks


def _has_joined_emoji_only(units: Sequence[TextUnit]) -> bool:
    return any("\u200d" in unit.plain for unit in units) and not any(unit.plain[:1].isalpha() for unit in units)


def _line_break(size: float, line_height: float) -> str:
    if line_height <= 1:
        return "\\N"
    # An extra empty line adds the space. An empty line has half the height of its font size.
    return f"{{\\fs{2 * size * (line_height - 1):.1f}}}\\N\\N{{\\fs{size:.1f}}}"


def fit_text(
    style: TextStyle, units: Sequence[TextUnit], *, width: int, height: int, rotation: float
) -> tuple[Placement, TextLayout]:
    """Place a text of a complete style in a frame. Text and style are scaled down until they fit."""
    requested = style.font_size or 1.0
    size = min(requested, min(width, height) * _MAX_SIZE)
    while True:
        placement = Placement(scale_style(style, size / requested), width, height, rotation)
        layout = layout_text(units, placement.text_box, size)
        if size < 1 or (layout.wrapped.size > size * 0.999 and placement.fits(layout.wrapped)):
            return placement, layout
        # Smaller text also has a smaller stroke, shadow and padding, so the next attempt has more space.
        size = min(size * 0.94, max(layout.wrapped.size, size * 0.7))
