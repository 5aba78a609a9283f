"""Upscale an image in tiles that overlap, so that memory is bounded and no seam shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from callsheet.media.enhancement.inference import Image, Model

_BORDER = 10
"""Reflected pixels around the image: at a hard edge, convolutions see black."""
_OVERLAP = 24
"""Pixels that a tile sees of its neighbors: more than what reaches an output pixel in SPAN and Real-ESRGAN compact."""
_MULTIPLE = 4
"""Sides of a tile are a multiple of this many pixels, which networks with pixel unshuffle need."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one side of the image, and what is read for it."""

    start: int
    end: int
    read_start: int
    read_end: int


def upscale_image(model: Model, image: Image, scale: int, tile: int) -> Image:
    """Return the image, `scale` times as large. `tile` is the longest side of a tile in pixels, without overlap."""
    _, height, width = image.shape
    if model.fixed_size is not None:
        rows = [*_fixed_spans(height, model.fixed_size[0])]
        columns = [*_fixed_spans(width, model.fixed_size[1])]
    else:
        rows, columns = [*_spans(height, tile)], [*_spans(width, tile)]
    output = np.empty((3, height * scale, width * scale), np.float32)
    for row in rows:
        for column in columns:
            part = _read(image, row, column)
            upscaled = model.run([part])
            top, left = (row.start - row.read_start) * scale, (column.start - column.read_start) * scale
            output[:, row.start * scale : row.end * scale, column.start * scale : column.end * scale] = upscaled[
                :, top : top + (row.end - row.start) * scale, left : left + (column.end - column.start) * scale
            ]
    return output


def _spans(side: int, tile: int) -> Iterator[Span]:
    """Yield the fewest equal parts that are not longer than a tile."""
    count = ceil(side / tile)
    for number in range(count):
        start, end = side * number // count, side * (number + 1) // count
        before = _BORDER if number == 0 else _OVERLAP
        after = _BORDER if number == count - 1 else _OVERLAP
        missing = -(end - start + before + after) % _MULTIPLE
        yield Span(start, end, start - before, end + after + missing)


def _fixed_spans(side: int, size: int) -> Iterator[Span]:
    """Yield parts that are read in exactly `size` pixels. Raises ValueError if `size` is too small for an overlap."""
    step = size - 2 * _OVERLAP
    if step < 1:
        raise ValueError(f"the model takes images of {size} pixels only; at least {2 * _OVERLAP + 1} are needed")
    for start in range(0, side, step):
        yield Span(start, min(start + step, side), start - _OVERLAP, start - _OVERLAP + size)


def _read(image: Image, row: Span, column: Span) -> Image:
    """Return a part of the image. What is outside of it is its reflection."""
    _, height, width = image.shape
    inside = image[
        :, max(0, row.read_start) : min(height, row.read_end), max(0, column.read_start) : min(width, column.read_end)
    ]
    rows = (max(0, -row.read_start), max(0, row.read_end - height))
    columns = (max(0, -column.read_start), max(0, column.read_end - width))
    return np.pad(inside, ((0, 0), rows, columns), mode="reflect") if any((*rows, *columns)) else inside
