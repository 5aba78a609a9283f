"""Conversion of decoded frames to images, as a player displays them."""

from pathlib import Path
from typing import Any, NamedTuple

from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

from callsheet.media.ffmpeg.color_matrix import SD_HEIGHT
from callsheet.media.ffmpeg.orientation import Orientation, frame_orientation
from callsheet.media.thumbnails.deinterlacing import deinterlaced
from callsheet.media.thumbnails.frame_fitting import fitted_size
from callsheet.media.thumbnails.storyboard import MAX_SIDE
from callsheet.media.thumbnails.tone_mapping import to_sdr

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 86, "optimize": True},
    "webp": {"quality": 82, "method": 4},
    "avif": {"quality": 65, "speed": 8},
    "png": {"optimize": True},
}
_UNSPECIFIED_MATRIX = 2
_ALPHA_FORMATS = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya", "pal8")
_ROTATIONS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class FrameShape(NamedTuple):
    """How the frames of a video differ from what is displayed, besides their rotation."""

    pixel_aspect: float = 1.0
    """The sample aspect ratio."""
    mirrored: bool = False
    size: tuple[int, int] | None = None
    """Width and height of the first frame as it is stored. A frame of another shape is fitted into it, with bars."""


def display_image(
    frame: VideoFrame, shape: FrameShape, width: int | None = None, *, max_side: int = MAX_SIDE
) -> Image.Image:
    """Return a frame as an upright SDR image with square pixels.

    The image is `width` pixels wide (None: its own width), and smaller if
    a side would exceed `max_side`.
    """
    orientation = frame_orientation(frame, mirrored=shape.mirrored)
    frame = deinterlaced(frame)
    first = shape.size or (frame.width, frame.height)
    size = (first[0] * shape.pixel_aspect, float(first[1]))
    displayed_width, displayed_height = (size[1], size[0]) if orientation.swaps_sides else size
    factor = min(width / displayed_width if width else 1.0, max_side / max(displayed_width, displayed_height))
    stored = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    return turned(_fitted(frame, shape, stored), orientation)


def _fitted(frame: VideoFrame, shape: FrameShape, size: tuple[int, int]) -> Image.Image:
    """Return the pixels of a frame at a size of square pixels, with bars if it has another shape than the first one."""
    aspect = frame.opaque if isinstance(frame.opaque, float) else shape.pixel_aspect
    if shape.size in (None, (frame.width, frame.height)) and aspect == shape.pixel_aspect:
        return frame_image(frame, size)
    inner = fitted_size((frame.width, frame.height), aspect, size, 1.0)
    image = frame_image(frame, inner)
    if inner == size:
        return image
    canvas = Image.new("RGB", size)
    canvas.paste(image, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return canvas


def frame_image(frame: VideoFrame, size: tuple[int, int] | None = None, *, keep_colors: bool = False) -> Image.Image:
    """Return the pixels of a frame in SDR, on black if they are transparent. `size` is in pixels; None: unchanged.

    With `keep_colors`, HDR and wide-gamut colors are not converted.
    """
    width, height = size or (frame.width, frame.height)
    matrix, mode = _matrix(frame), "rgba" if has_alpha(frame) else "rgb24"
    rgb = frame.reformat(width, height, format=mode, src_colorspace=matrix, interpolation=Interpolation.AREA)
    image: Image.Image
    if mode == "rgba":
        plane = rgb.planes[0]
        pixels = Image.frombytes("RGBA", (width, height), bytes(plane), "raw", "RGBA", plane.line_size)
        image = Image.alpha_composite(Image.new("RGBA", pixels.size, "black"), pixels).convert("RGB")
    else:
        image = rgb.to_image()  # type: ignore[no-untyped-call]
    return image if keep_colors else to_sdr(image, int(frame.color_trc), int(frame.color_primaries))


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether the pixels of a frame may be transparent."""
    return frame.format.name.startswith(_ALPHA_FORMATS)


def turned(image: Image.Image, orientation: Orientation) -> Image.Image:
    """Return an image as players turn it."""
    if orientation.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(_ROTATIONS[orientation.rotation]) if orientation.rotation else image


def save_image(image: Image.Image, folder: Path, stem: str, format: str) -> Path:
    """Write an image to a folder and return its path. `format` is jpeg, webp, avif or png."""
    path = folder / f"{stem}.{'jpg' if format == 'jpeg' else format}"
    image.save(path, **_SAVE_OPTIONS[format])
    return path


def _matrix(frame: VideoFrame) -> str | None:
    """Return the color matrix that players assume for a video without one."""
    if int(frame.colorspace) != _UNSPECIFIED_MATRIX or frame.format.is_rgb:
        return None
    return "ITU709" if frame.height > SD_HEIGHT else "ITU601"
