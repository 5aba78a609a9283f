"""Placement of a text in the frame."""

import math
from dataclasses import dataclass

from callsheet.media.subtitles.ass_motion import Point
from callsheet.media.subtitles.safe_area import SafeArea, safe_area
from callsheet.media.subtitles.style import Position, TextStyle
from callsheet.media.subtitles.style_defaults import outset
from callsheet.media.subtitles.text_wrapping import TextBox, WrappedText

_COLUMNS = {"left": 0, "center": 1, "right": 2}


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of a text of a complete style in a frame of `width` by `height` pixels."""

    style: TextStyle
    width: int
    height: int
    rotation: float = 0.0
    """Degrees. Rotated text is anchored at its center."""

    @property
    def anchor(self) -> int:
        """The ASS alignment, 1 to 9, in the order of a numeric keypad."""
        return 3 * self._anchor_row + self._anchor_column + 1

    @property
    def needs_position(self) -> bool:
        """Whether the anchor differs from the styled position, so that the event needs explicit coordinates."""
        return (self._anchor_row, self._anchor_column) != (self._row, self._column)

    @property
    def _row(self) -> int:
        """0: bottom, 1: middle, 2: top."""
        position = self._position
        return 2 if position.startswith("top") else 0 if position.startswith("bottom") else 1

    @property
    def _column(self) -> int:
        """0: left, 1: center, 2: right."""
        position = self._position
        return 0 if position.endswith("left") else 2 if position.endswith("right") else 1

    @property
    def _position(self) -> Position:
        return self.style.position or "center"

    @property
    def _anchor_row(self) -> int:
        return 1 if self.rotation else self._row

    @property
    def _anchor_column(self) -> int:
        if self.rotation:
            return 1
        return self._column if self.style.align is None else _COLUMNS[self.style.align]

    @property
    def _safe(self) -> SafeArea:
        return safe_area(self.width, self.height)

    @property
    def text_box(self) -> TextBox:
        """The maximum size of the text."""
        left, right = self._side_margins()
        minimum = min(self._safe.top, self._safe.bottom) * self.height
        used = minimum + (minimum if self._row == 1 else self._margin())
        surround = 2 * outset(self.style)
        return TextBox(
            max(1.0, self.width - left - right - surround),
            max(self.height * 0.1, self.height - used - surround),
            self.style.line_height,
            self.style.letter_spacing,
        )

    def _margin(self) -> float:
        fraction = self._safe.top if self._row == 2 else self._safe.bottom
        return fraction * self.height if self.style.margin is None else min(self.style.margin, self.height * 0.8)

    def _side_margins(self) -> tuple[float, float]:
        """Return the left and right margins, in pixels."""
        side = self._safe.side * self.width
        max_width = self.width - 2 * side if self.style.max_width is None else self.style.max_width * self.width
        minimum = outset(self.style)
        if self._column == 1:
            margin = max(minimum, (self.width - max_width) / 2)
            return margin, margin
        near = max(minimum, side if self.style.margin is None else min(self.style.margin, self.width * 0.8))
        far = max(minimum, 0.0 if self.style.max_width else side, self.width - near - max_width)
        return (near, far) if self._column == 0 else (far, near)

    def margins(self, wrapped: WrappedText) -> tuple[int, int, int]:
        """Return the left, right and vertical margins of the ASS style, in pixels."""
        left, right = self._side_margins()
        return round(left), round(right), round(self._vertical_margin(wrapped))

    def _vertical_margin(self, wrapped: WrappedText) -> float:
        minimum = outset(self.style)
        maximum = self.height - wrapped.height(self.style.line_height) - minimum
        return max(minimum, min(self._margin(), maximum))

    def anchor_point(self, wrapped: WrappedText, offset: Point = (0.0, 0.0)) -> Point:
        """Return the coordinates of the anchor. `offset` is a fraction of the frame width and height."""
        left, right = self._side_margins()
        vertical = self._vertical_margin(wrapped)
        x = (left, (left + self.width - right) / 2, self.width - right)[self._column]
        y = (self.height - vertical, self.height / 2, vertical)[self._row]
        x += (self._anchor_column - self._column) * wrapped.width / 2
        y += (self._row - self._anchor_row) * wrapped.height(self.style.line_height) / 2
        if self.rotation:
            x, y = self._clamp_to_frame(x, y, wrapped)
        return x + offset[0] * self.width, y + offset[1] * self.height

    def fits(self, wrapped: WrappedText) -> bool:
        """Return whether the rotated text fits into the frame. Unrotated text always does."""
        x, y = self._half_extent(wrapped)
        return not self.rotation or (2 * x <= self.width and 2 * y <= self.height)

    def _clamp_to_frame(self, x: float, y: float, wrapped: WrappedText) -> Point:
        """Move the center of a rotated text so that its corners are inside the frame."""
        half_width, half_height = self._half_extent(wrapped)
        return max(half_width, min(x, self.width - half_width)), max(half_height, min(y, self.height - half_height))

    def _half_extent(self, wrapped: WrappedText) -> Point:
        """Return half the width and height of the bounding box of the rotated text."""
        surround = outset(self.style)
        width, height = wrapped.width / 2 + surround, wrapped.height(self.style.line_height) / 2 + surround
        angle = math.radians(self.rotation)
        cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
        return width * cosine + height * sine, width * sine + height * cosine
