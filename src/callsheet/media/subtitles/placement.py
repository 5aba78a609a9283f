"""Where a text stands in the picture."""

import math
from dataclasses import dataclass

from callsheet.media.subtitles.ass_motion import Point
from callsheet.media.subtitles.safe_area import SafeArea, safe_area
from callsheet.media.subtitles.style import Position, TextStyle
from callsheet.media.subtitles.style_defaults import reach
from callsheet.media.subtitles.text_wrapping import Room, Setting

_COLUMNS = {"left": 0, "center": 1, "right": 2}


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a text of a completed style in a picture."""

    style: TextStyle
    width: int
    height: int
    rotation: float = 0.0
    """Degrees. What is turned is held by its middle."""

    @property
    def anchor(self) -> int:
        """Where the text is held, numbered like the keys of a number pad."""
        return 3 * self._held_row + self._held_column + 1

    @property
    def held(self) -> bool:
        """Tell whether it is held elsewhere than where its position says, so that the script has to name the point."""
        return (self._held_row, self._held_column) != (self._row, self._column)

    @property
    def _row(self) -> int:
        """0: at the bottom, 1: in the middle, 2: at the top."""
        position = self._position
        return 2 if position.startswith("top") else 0 if position.startswith("bottom") else 1

    @property
    def _column(self) -> int:
        """0: on the left, 1: in the middle, 2: on the right."""
        position = self._position
        return 0 if position.endswith("left") else 2 if position.endswith("right") else 1

    @property
    def _position(self) -> Position:
        return self.style.position or "center"

    @property
    def _held_row(self) -> int:
        return 1 if self.rotation else self._row

    @property
    def _held_column(self) -> int:
        if self.rotation:
            return 1
        return self._column if self.style.align is None else _COLUMNS[self.style.align]

    @property
    def _safe(self) -> SafeArea:
        return safe_area(self.width, self.height)

    @property
    def room(self) -> Room:
        """What the text may fill."""
        left, right = self._sides()
        least = min(self._safe.top, self._safe.bottom) * self.height
        used = least + (least if self._row == 1 else self._margin())
        beyond = 2 * reach(self.style)
        return Room(
            max(1.0, self.width - left - right - beyond),
            max(self.height * 0.1, self.height - used - beyond),
            self.style.line_height,
            self.style.letter_spacing,
        )

    def _margin(self) -> float:
        share = self._safe.top if self._row == 2 else self._safe.bottom
        return share * self.height if self.style.margin is None else min(self.style.margin, self.height * 0.8)

    def _sides(self) -> tuple[float, float]:
        """Return how much stays free on the left, and on the right."""
        side = self._safe.side * self.width
        most = self.width - 2 * side if self.style.max_width is None else self.style.max_width * self.width
        least = reach(self.style)
        if self._column == 1:
            even = max(least, (self.width - most) / 2)
            return even, even
        near = max(least, side if self.style.margin is None else min(self.style.margin, self.width * 0.8))
        far = max(least, 0.0 if self.style.max_width else side, self.width - near - most)
        return (near, far) if self._column == 0 else (far, near)

    def margins(self, setting: Setting) -> tuple[int, int, int]:
        """Return what the script leaves free on the left, on the right, and above or below."""
        left, right = self._sides()
        return round(left), round(right), round(self._vertical(setting))

    def _vertical(self, setting: Setting) -> float:
        beyond = reach(self.style)
        highest = self.height - setting.height(self.style.line_height) - beyond
        return max(beyond, min(self._margin(), highest))

    def point(self, setting: Setting, offset: Point = (0.0, 0.0)) -> Point:
        """Return where the text is held, moved by shares of the width and height."""
        left, right = self._sides()
        vertical = self._vertical(setting)
        x = (left, (left + self.width - right) / 2, self.width - right)[self._column]
        y = (self.height - vertical, self.height / 2, vertical)[self._row]
        x += (self._held_column - self._column) * setting.widest / 2
        y += (self._row - self._held_row) * setting.height(self.style.line_height) / 2
        if self.rotation:
            x, y = self._inside(x, y, setting)
        return x + offset[0] * self.width, y + offset[1] * self.height

    def holds(self, setting: Setting) -> bool:
        """Tell whether the text fits into the picture as it is turned."""
        across, down = self._extent(setting)
        return not self.rotation or (2 * across <= self.width and 2 * down <= self.height)

    def _inside(self, x: float, y: float, setting: Setting) -> Point:
        """Move what is turned so far that its corners are in the picture."""
        across, down = self._extent(setting)
        return max(across, min(x, self.width - across)), max(down, min(y, self.height - down))

    def _extent(self, setting: Setting) -> Point:
        """Return how far a turned text reaches from its middle, across and down."""
        beyond = reach(self.style)
        wide, high = setting.widest / 2 + beyond, setting.height(self.style.line_height) / 2 + beyond
        turn = math.radians(self.rotation)
        cosine, sine = abs(math.cos(turn)), abs(math.sin(turn))
        return wide * cosine + high * sine, wide * sine + high * cosine
