"""Convert video frames to RGB arrays and back, with the color matrix and range of the source."""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from callsheet.media.enhancement.inference import Image
from callsheet.media.enhancement.requests import ColorTags, VideoSource
from callsheet.media.enhancement.sdr_colors import to_bt709
from callsheet.media.thumbnails.display_image import has_alpha

_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""The matrices of ITU-T H.273 that can be converted, and their numbers in libswscale."""
_FULL_RANGE = 2
# Chroma is interpolated, not repeated; without rounding errors.
_CHROMA = (
    Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
)


_converters = threading.local()


def _convert(frame: VideoFrame, **options: Any) -> VideoFrame:
    """Convert a frame. Each thread has converters of its own: two threads may convert one frame at the same time."""
    by_format: dict[str, VideoReformatter] = _converters.__dict__.setdefault("by_format", {})
    converter = by_format.setdefault(options["format"], VideoReformatter())
    return converter.reformat(frame, interpolation=_CHROMA, **options)


def to_image(frame: VideoFrame, source: VideoSource) -> Image:
    """Return the pixels of a frame as they are displayed, in the colors of the output; transparent ones on black."""
    stored = _rgb(frame, source)
    white = np.iinfo(stored.dtype).max
    colors: npt.NDArray[np.float32]
    if source.stored == source.color:
        colors = np.asarray(stored[..., :3], np.float32) / np.float32(white)
    else:
        colors = to_bt709(stored[..., :3], source.stored.transfer, source.stored.primaries)
    if stored.shape[-1] == 4:
        colors = colors * (np.asarray(stored[..., 3:], np.float32) / np.float32(white))
    pixels = np.rot90(colors[:, ::-1] if source.mirrored else colors, source.rotation // 90)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _rgb(frame: VideoFrame, source: VideoSource) -> npt.NDArray[Any]:
    """Return the stored pixels in full range: rows, columns, components."""
    kinds = ("rgba", "rgba64le") if has_alpha(frame) else ("rgb24", "rgb48le")
    kind = kinds[source.depth > 8]
    if frame.format.is_rgb:
        return _convert(frame, format=kind).to_ndarray()
    matrix = _MATRICES[source.stored.matrix]
    colors = {"src_colorspace": matrix, "dst_colorspace": matrix}
    return _convert(
        frame, format=kind, **colors, src_color_range=source.stored.range, dst_color_range=_FULL_RANGE
    ).to_ndarray()


def to_frame(image: Image, color: ColorTags, *, depth: int, size: tuple[int, int] | None = None) -> VideoFrame:
    """Return a frame in 4:2:0 with even sides. An odd last row or column is left out.

    `size` is the width and height that the image is reduced to; None: not reduced.
    """
    _, height, width = image.shape
    even = image[:, : height - height % 2, : width - width % 2]
    pixels = np.ascontiguousarray(_to_integers(even, depth).transpose(1, 2, 0))
    matrix = _MATRICES[color.matrix]
    return _convert(
        VideoFrame.from_ndarray(pixels, format="rgb24" if depth <= 8 else "rgb48le"),
        width=size[0] if size else None,
        height=size[1] if size else None,
        format="yuv420p" if depth <= 8 else "yuv420p10le",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=_FULL_RANGE,
        dst_color_range=color.range,
    )


def _to_integers(image: Image, depth: int) -> npt.NDArray[Any]:
    white, kind = (255.0, np.uint8) if depth <= 8 else (65535.0, np.uint16)
    scaled = np.clip(image, 0.0, 1.0)
    scaled *= np.float32(white)
    scaled += np.float32(0.5)
    return scaled.astype(kind)
