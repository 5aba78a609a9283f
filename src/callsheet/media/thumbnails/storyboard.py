"""Storyboards: the grid of sprite sheets, and the WebVTT file that maps times to tiles."""

from collections.abc import Sequence
from dataclasses import dataclass

from callsheet.media.subtitles.timestamps import subtitle_timestamp

MAX_SIDE = 16_383
"""Maximum side of a WebP image, in pixels."""
MAX_TILES_PER_SHEET = 100


@dataclass(frozen=True, slots=True)
class Grid:
    """Arrangement of tiles on a sheet."""

    columns: int
    rows: int
    """Rows of a full sheet. The last sheet may have fewer."""
    width: int
    """Width of a tile, in pixels."""
    height: int
    """Height of a tile, in pixels."""

    @property
    def tiles(self) -> int:
        """The number of tiles on a full sheet."""
        return self.columns * self.rows

    def position(self, index: int) -> tuple[int, int, int]:
        """Return the sheet index of a tile, and the x and y coordinates of its upper left corner."""
        sheet, rest = divmod(index, self.tiles)
        row, column = divmod(rest, self.columns)
        return sheet, column * self.width, row * self.height

    def sheet_size(self, sheet: int, tiles: int) -> tuple[int, int]:
        """Return the width and height of a sheet, in pixels, if all sheets hold `tiles` tiles together."""
        count = min(self.tiles, tiles - sheet * self.tiles)
        return min(count, self.columns) * self.width, -(-count // self.columns) * self.height


def grid_for(tile: tuple[int, int], columns: int) -> Grid:
    """Return a grid for tiles of a size. Its sheets do not exceed the size limit of any image format."""
    width, height = tile
    columns = max(1, min(columns, MAX_SIDE // width))
    rows = max(1, min(MAX_TILES_PER_SHEET // columns, MAX_SIDE // height))
    return Grid(columns, rows, width, height)


def storyboard_vtt(starts: Sequence[float], end: float, grid: Grid, sheets: Sequence[str]) -> str:
    """Return the WebVTT file of a storyboard. `sheets` are file names in the folder of this file."""
    blocks = ["WEBVTT"]
    for index, (start, until) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        sheet, x, y = grid.position(index)
        tile = f"{sheets[sheet]}#xywh={x},{y},{grid.width},{grid.height}"
        timing = f"{subtitle_timestamp(start)} --> {subtitle_timestamp(max(until, start + 0.001))}"
        blocks.append(f"{timing}\n{tile}")
    return "\n\n".join(blocks) + "\n"
