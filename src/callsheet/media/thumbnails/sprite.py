"""Draws the sprite sheets of a video, tile by tile."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from callsheet.media.thumbnails.display_image import display_image, save
from callsheet.media.thumbnails.sample_times import parts_of
from callsheet.media.thumbnails.storyboard import TILES_ON_A_SHEET, Grid, grid_for
from callsheet.media.thumbnails.video_reader import VideoReader

_LONGEST = 1024
"""Pixels of a side of a tile."""


def draw_sprite(
    reel: VideoReader,
    wish: dict[str, Any],
    slack: float | None,
    folder: Path,
    format: str,
    tell: Callable[[float], None],
) -> dict[str, Any]:
    """Draw the sheets. `wish`: `count` or `interval` or neither, `columns`, `width`, `most` tiles.

    A tile shows the middle of its part of the film, or an earlier moment of that part (`slack` None) where a key
    frame makes it cheaper. A part that shows the same picture as the one before gets no tile.
    """
    usual = min(TILES_ON_A_SHEET, math.ceil(reel.duration))
    parts, asked = parts_of(reel.duration, wish["count"] or usual, wish["interval"], wish["most"])
    tiles: list[float] = []
    shown = -1.0
    sheets = _Sheets(folder, format, wish["columns"])
    for index, start in enumerate(parts):
        until = parts[index + 1] if index + 1 < len(parts) else max(reel.duration, start)
        middle = (start + until) / 2
        frame, time = reel.frame_at(middle, middle - start if slack is None else slack)
        if time != shown:
            shown = time
            tiles.append(start)
            sheets.add(display_image(frame, reel.shape, wish["width"], longest=_LONGEST))
        tell((index + 1) / len(parts))
    grid = sheets.finish()
    return {
        "sheets": [path.name for path in sheets.paths],
        "starts": tiles,
        "end": reel.duration,
        "grid": [grid.columns, grid.rows, grid.width, grid.height],
        "asked": asked,
    }


class _Sheets:
    """Sheets under construction; one at a time is held in memory."""

    def __init__(self, folder: Path, format: str, columns: int) -> None:
        self.paths: list[Path] = []
        self._folder, self._format, self._columns = folder, format, columns
        self._grid: Grid | None = None
        self._sheet: Image.Image | None = None
        self._count = 0

    def add(self, tile: Image.Image) -> None:
        grid = self._grid = self._grid or grid_for(tile.size, self._columns)
        sheet, x, y = grid.place(self._count)
        if self._sheet is None or sheet > len(self.paths):
            self._write()
            self._sheet = Image.new("RGB", (grid.columns * grid.width, grid.rows * grid.height))
        fits = tile.size == (grid.width, grid.height)  # a film may change its size
        self._sheet.paste(tile if fits else tile.resize((grid.width, grid.height)), (x, y))
        self._count += 1

    def finish(self) -> Grid:
        self._write()
        assert self._grid is not None  # noqa: S101 - there is always a first tile
        return self._grid

    def _write(self) -> None:
        if self._sheet is None or self._grid is None:
            return
        number = len(self.paths)
        sheet = self._sheet.crop((0, 0, *self._grid.size(number, self._count)))
        self.paths.append(save(sheet, self._folder, f"sprite-{number + 1:03d}", self._format))
