"""Interpolate frames between the frames of a video."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from callsheet.media.enhancement.frame_reader import FrameReader
from callsheet.media.enhancement.inference import Image, Model, load_model
from callsheet.media.enhancement.parallel import ordered_map
from callsheet.media.enhancement.part_writer import OutputFrame, PartFormat, write_parts
from callsheet.media.enhancement.pixels import to_frame, to_image
from callsheet.media.enhancement.requests import InterpolateRequest, Part

_MULTIPLE = 32
"""Sides of the images are a multiple of this many pixels, which RIFE needs."""
_CUT = 0.12
"""Mean change of light and color between two frames, from 0 to 1, that is a cut and not motion."""
_COMPARED_SIDE = 64
"""Pixels of the longer side of the images that are compared to find cuts."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """One frame of the output: at `position` between two frames of the source. None: the end of the part."""

    part: Part
    pts: int = 0
    before: VideoFrame | None = None
    after: VideoFrame | None = None
    position: float = 0.0


def interpolate_parts(request: InterpolateRequest) -> Iterator[dict[str, Any]]:
    """Interpolate parts, and yield the messages of `write_parts`, and first `{"device": …}`.

    Frames at cuts are repeated. Raises ValueError if the model cannot interpolate.
    """
    model = load_model(request.model, request.compute)
    if model.inputs != 3:
        raise ValueError(
            f"the model has {model.inputs} inputs; a model that interpolates has three: two images, and the time"
        )
    yield {"device": model.device}
    reader = FrameReader(request.source, request.compute.threads)
    source = request.source

    def image_at(moment: _Moment) -> OutputFrame:
        if moment.before is None:
            return OutputFrame(moment.part)
        image = _image_at(model, request, moment)
        return OutputFrame(moment.part, moment.pts, to_frame(image, source.color, depth=source.depth))

    form = PartFormat(
        Path(request.folder),
        request.encode,
        source.color,
        Fraction(*request.output_time_base),
        Fraction(*source.pixel_aspect),
    )
    yield from write_parts(ordered_map(image_at, _moments(reader, request), model.concurrency), form)
    reader.close()


def _moments(reader: FrameReader, request: InterpolateRequest) -> Iterator[_Moment]:
    for part in request.parts:
        before: VideoFrame | None = None
        for frame in reader.frames(part.start, part.end):
            if before is not None:
                yield from _between(request, part, before, frame)
            before = frame
        if before is not None:
            # The frame after the part belongs to the next one, but the frames before it belong here.
            yield from _between(request, part, before, reader.peek())
        yield _Moment(part)


def _between(
    request: InterpolateRequest, part: Part, before: VideoFrame, after: VideoFrame | None
) -> Iterator[_Moment]:
    """Yield the moments from one frame up to the next one, or to the end of the video."""
    assert before.pts is not None  # noqa: S101 - the reader checks it
    start, end = before.pts, request.end if after is None or after.pts is None else after.pts
    unit = Fraction(*request.time_base)
    out_unit = Fraction(*request.output_time_base)
    part_start = part.start * unit / out_unit
    for time in _times(request, start, end):
        position = (time - start) / (end - start) if end > start else Fraction(0)
        yield _Moment(part, round(time * unit / out_unit - part_start), before, after, float(position))


def _times(request: InterpolateRequest, start: int, end: int) -> Iterator[Fraction]:
    """Yield the times of the output from `start` up to `end`, in the time base of the source."""
    if request.factor is not None:
        yield from (start + Fraction((end - start) * n, request.factor) for n in range(request.factor))
        return
    assert request.rate is not None  # noqa: S101 - there is a factor or a rate
    step = 1 / (Fraction(*request.rate) * Fraction(*request.time_base))
    number = ceil((start - request.first) / step)
    while (time := request.first + number * step) < end:
        yield time
        number += 1


def _image_at(model: Model, request: InterpolateRequest, moment: _Moment) -> Image:
    source = request.source
    assert moment.before is not None  # noqa: S101 - the caller checks it
    before = to_image(moment.before, source)
    if moment.position == 0 or moment.after is None:
        return before
    after = to_image(moment.after, source)
    if _is_cut(before, after):
        return before if moment.position < 0.5 else after
    return interpolate_image(model, before, after, moment.position)


def interpolate_image(model: Model, before: Image, after: Image, position: float) -> Image:
    """Return the image between two images at a position from 0 to 1."""
    _, height, width = before.shape
    padding = ((0, 0), (0, -height % _MULTIPLE), (0, -width % _MULTIPLE))
    images = [np.pad(each, padding, mode="edge") for each in (before, after)]
    return model.run([*images, np.array([position], np.float32)])[:, :height, :width]


def _is_cut(before: Image, after: Image) -> bool:
    step = max(1, max(before.shape) // _COMPARED_SIDE)
    difference = np.abs(_reduced(before, step) - _reduced(after, step))
    return float(difference.mean()) > _CUT


def _reduced(image: Image, step: int) -> Image:
    """Return the means of squares of `step` pixels."""
    _, height, width = image.shape
    rows, columns = max(1, height // step), max(1, width // step)
    cut = image[:, : rows * step, : columns * step]
    squares: Image = cut.reshape(3, rows, min(step, height), columns, min(step, width)).mean(axis=(2, 4))
    return squares
