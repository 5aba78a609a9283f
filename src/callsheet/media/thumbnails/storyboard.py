"""Sprite sheets and the WebVTT file that tells a player which tile shows which moment."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_SIDE = 16_383
"""Pixels; no WebP is larger."""
TILES_ON_A_SHEET = 100


@dataclass(frozen=True, slots=True)
class Grid:
    """How tiles stand on sheets."""

    columns: int
    rows: int
    """Of a full sheet; the last one ends with its last tile."""
    width: int
    """Of a tile, in pixels."""
    height: int

    @property
    def tiles(self) -> int:
        """How many tiles there are on a full sheet."""
        return self.columns * self.rows

    def place(self, index: int) -> tuple[int, int, int]:
        """Return the sheet of a tile, and where its upper left corner is on it; all count from 0."""
        sheet, rest = divmod(index, self.tiles)
        row, column = divmod(rest, self.columns)
        return sheet, column * self.width, row * self.height

    def size(self, sheet: int, tiles: int) -> tuple[int, int]:
        """Return width and height of a sheet, of as many as it takes to hold `tiles`."""
        here = min(self.tiles, tiles - sheet * self.tiles)
        return min(here, self.columns) * self.width, -(-here // self.columns) * self.height


def grid_for(tile: tuple[int, int], columns: int) -> Grid:
    """Return a grid for tiles of one size, whose sheets stay small enough for every format."""
    width, height = tile
    columns = max(1, min(columns, MOST_SIDE // width))
    rows = max(1, min(TILES_ON_A_SHEET // columns, MOST_SIDE // height))
    return Grid(columns, rows, width, height)


def cues(starts: Sequence[float], end: float, grid: Grid, sheets: Sequence[str]) -> str:
    """Return a WebVTT file; `sheets` are the names of the sheets, which lie in the folder of this file."""
    blocks = ["WEBVTT"]
    for index, (start, until) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        sheet, x, y = grid.place(index)
        place = f"{sheets[sheet]}#xywh={x},{y},{grid.width},{grid.height}"
        blocks.append(f"{_clock(start)} --> {_clock(max(until, start + 0.001))}\n{place}")
    return "\n\n".join(blocks) + "\n"


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
