"""Conversion of decoded frames to images, as a player displays them."""

from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

from callsheet.media.ffmpeg.color_matrix import SD_HEIGHT
from callsheet.media.thumbnails.storyboard import MAX_SIDE
from callsheet.media.thumbnails.tone_mapping import to_sdr

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 86, "optimize": True},
    "webp": {"quality": 82, "method": 4},
    "avif": {"quality": 65, "speed": 8},
    "png": {"optimize": True},
}
_UNSPECIFIED_MATRIX = 2
_ROTATIONS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def display_image(
    frame: VideoFrame, pixel_aspect: float, width: int | None = None, *, max_side: int = MAX_SIDE
) -> Image.Image:
    """Return a frame as an upright SDR image with square pixels.

    `pixel_aspect` is the sample aspect ratio. The image is `width` pixels wide (None: its own width), and smaller if
    a side would exceed `max_side`.
    """
    rotation = round(frame.rotation) % 360
    size = (frame.width * pixel_aspect, float(frame.height))
    displayed_width, displayed_height = (size[1], size[0]) if rotation in (90, 270) else size
    factor = min(width / displayed_width if width else 1.0, max_side / max(displayed_width, displayed_height))
    stored = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    rgb = frame.reformat(*stored, format="rgb24", src_colorspace=_matrix(frame), interpolation=Interpolation.AREA)
    image: Image.Image = rgb.to_image()  # type: ignore[no-untyped-call]
    image = to_sdr(image, int(frame.color_trc))
    return image.transpose(_ROTATIONS[rotation]) if rotation in _ROTATIONS else image


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
