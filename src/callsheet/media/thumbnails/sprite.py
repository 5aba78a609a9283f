"""Sprite sheets of a video."""

import math
from pathlib import Path

from PIL import Image

from callsheet.media.thumbnails.display_image import display_image, save_image
from callsheet.media.thumbnails.preview_requests import ProgressCallback, SpriteRequest, SpriteResult
from callsheet.media.thumbnails.sample_times import interval_starts
from callsheet.media.thumbnails.storyboard import MAX_TILES_PER_SHEET, Grid, grid_for
from callsheet.media.thumbnails.video_reader import VideoReader

_MAX_TILE_SIDE = 1024
"""Pixels."""


def draw_sprite(
    reader: VideoReader,
    request: SpriteRequest,
    sheets: "SpriteSheets",
    tolerance: float | None,
    on_progress: ProgressCallback,
) -> SpriteResult:
    """Draw the tiles on the sheets.

    A tile shows the center of its interval, or a key frame up to `tolerance` seconds before it (None: a key frame of
    the same interval). An interval with the same frame as the previous one gets no tile.
    """
    default_count = min(MAX_TILES_PER_SHEET, math.ceil(reader.duration))
    count = request.count or default_count
    intervals, requested = interval_starts(reader.duration, count, request.interval, request.limit)
    starts: list[float] = []
    previous = -1.0
    for index, start in enumerate(intervals):
        end = intervals[index + 1] if index + 1 < len(intervals) else max(reader.duration, start)
        center = (start + end) / 2
        frame, time = reader.frame_at(center, center - start if tolerance is None else tolerance)
        if time != previous:
            previous = time
            starts.append(start)
            sheets.add(display_image(frame, reader.shape, request.width, max_side=_MAX_TILE_SIDE))
        on_progress((index + 1) / len(intervals))
    grid = sheets.finish()
    return SpriteResult(
        sheets=[path.name for path in sheets.paths],
        starts=starts,
        end=reader.duration,
        columns=grid.columns,
        rows=grid.rows,
        tile_width=grid.width,
        tile_height=grid.height,
        requested=requested,
    )


class SpriteSheets:
    """Writer of sprite sheets. Only the current sheet is in memory."""

    def __init__(self, folder: Path, format: str, columns: int) -> None:
        self.paths: list[Path] = []
        self._folder, self._format, self._columns = folder, format, columns
        self._grid: Grid | None = None
        self._sheet: Image.Image | None = None
        self._count = 0

    def add(self, tile: Image.Image) -> None:
        """Add a tile. The first tile sets the tile size."""
        grid = self._grid = self._grid or grid_for(tile.size, self._columns)
        sheet, x, y = grid.position(self._count)
        if self._sheet is None or sheet > len(self.paths):
            self._write_sheet()
            self._sheet = Image.new("RGB", (grid.columns * grid.width, grid.rows * grid.height))
        fits = tile.size == (grid.width, grid.height)  # the frame size may change within a file
        self._sheet.paste(tile if fits else tile.resize((grid.width, grid.height)), (x, y))
        self._count += 1

    def finish(self) -> Grid:
        """Write the last sheet and return the grid."""
        self._write_sheet()
        assert self._grid is not None  # noqa: S101 - every video has at least one tile
        return self._grid

    def _write_sheet(self) -> None:
        if self._sheet is None or self._grid is None:
            return
        number = len(self.paths)
        sheet = self._sheet.crop((0, 0, *self._grid.sheet_size(number, self._count)))
        self.paths.append(save_image(sheet, self._folder, f"sprite-{number + 1:03d}", self._format))
