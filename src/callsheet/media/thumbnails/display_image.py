"""Decoded pictures as a player shows them, and as files."""

from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

from callsheet.media.thumbnails.storyboard import MOST_SIDE
from callsheet.media.thumbnails.tone_mapping import to_sdr

_SAVING: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 86, "optimize": True},
    "webp": {"quality": 82, "method": 4},
    "avif": {"quality": 65, "speed": 8},
    "png": {"optimize": True},
}
_COLOURS_NOT_TOLD = 2
_SD_HEIGHT = 576
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def display_image(
    frame: VideoFrame, shape: float, width: int | None = None, *, longest: int = MOST_SIDE
) -> Image.Image:
    """Return the picture as a player shows it: turned, with square pixels, in the range of ordinary screens.

    `shape` is that of a stored pixel, width by height. The picture becomes `width` wide (None: as it is), and
    smaller where a side would be over `longest`.
    """
    turn = round(frame.rotation) % 360
    seen = (frame.width * shape, float(frame.height))
    across, down = (seen[1], seen[0]) if turn in (90, 270) else seen
    factor = min(width / across if width else 1.0, longest / max(across, down))
    stored = (max(1, round(seen[0] * factor)), max(1, round(seen[1] * factor)))
    rgb = frame.reformat(*stored, format="rgb24", src_colorspace=_matrix(frame), interpolation=Interpolation.AREA)
    image: Image.Image = rgb.to_image()  # type: ignore[no-untyped-call]
    image = to_sdr(image, int(frame.color_trc))
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def save(image: Image.Image, folder: Path, stem: str, format: str) -> Path:
    """Write a picture into a folder and return its path. `format` is jpeg, webp, avif or png."""
    path = folder / f"{stem}.{'jpg' if format == 'jpeg' else format}"
    image.save(path, **_SAVING[format])
    return path


def _matrix(frame: VideoFrame) -> str | None:
    """Return the colour matrix that players assume where the video does not tell its own."""
    if int(frame.colorspace) != _COLOURS_NOT_TOLD or frame.format.is_rgb:
        return None
    return "ITU709" if frame.height > _SD_HEIGHT else "ITU601"
