"""Facts about still images and animated WebP that FFmpeg does not return: orientation, color profile, alpha channel."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

# The plugins are listed, because Pillow loads only some of them by itself.
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from callsheet.media.ffmpeg.orientation import Orientation

_PLUGINS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    TiffImagePlugin.TiffImageFile,
    WebPImagePlugin.WebPImageFile,
)
STILL_FORMATS = tuple(str(plugin.format) for plugin in _PLUGINS)
"""Names of the formats, as Pillow calls them."""
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    1: Orientation(),
    2: Orientation(0, mirrored=True),
    3: Orientation(180),
    4: Orientation(180, mirrored=True),
    5: Orientation(90, mirrored=True),
    6: Orientation(270),
    7: Orientation(270, mirrored=True),
    8: Orientation(90),
}
_GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_BROWSER_DELAY = 100
"""Milliseconds. Browsers show frames that state up to 10 ms for this time."""
_MIN_DELAY = 10


@dataclass(frozen=True, slots=True)
class StillFacts:
    """Facts about a still image."""

    orientation: Orientation
    has_profile: bool
    """Whether it has a color profile of another color space than sRGB."""


@dataclass(frozen=True, slots=True)
class AnimationFacts:
    """Facts about an animated WebP."""

    width: int
    height: int
    transparent: bool
    delays: tuple[int, ...]
    """How long each frame is shown, in milliseconds."""


def read_still(path: Path) -> StillFacts | None:
    """Return the facts about a still image; None for a format that has none, or if they cannot be read."""
    try:
        with Image.open(path, formats=STILL_FORMATS) as image:
            orientation = _ORIENTATIONS.get(image.getexif().get(_ORIENTATION_TAG, 1), Orientation())
            return StillFacts(orientation, foreign_profile(image) is not None)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None


def foreign_profile(image: Image.Image) -> bytes | None:
    """Return the ICC profile of an image if it is that of another color space than sRGB. Gray images need none."""
    profile = image.info.get("icc_profile")
    return profile if profile and image.mode not in _GRAY_MODES and is_foreign(profile) else None


def is_foreign(profile: bytes) -> bool:
    """Return whether an ICC profile is that of another color space than sRGB. A damaged one is not."""
    try:
        description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (OSError, ImageCms.PyCMSError):
        return False
    return "srgb" not in description.lower()


def read_animated_webp(path: Path) -> AnimationFacts | None:
    """Return the facts about an animated WebP; None if the file is none. The frames are not decoded."""
    delays: list[int] = []
    with path.open("rb") as file:
        head = file.read(30)
        if len(head) < 30 or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or not head[20] & 0x02:
            return None
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        file.seek(12)
        while len(header := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", header)
            if kind == b"ANMF":
                frame = file.read(16)
                delays.append(shown_delay(int.from_bytes(frame[12:15], "little")))
                size -= len(frame)
            file.seek(size + size % 2, io.SEEK_CUR)
    return AnimationFacts(width, height, bool(head[20] & 0x10), tuple(delays)) if delays else None


def shown_delay(delay: int) -> int:
    """Return the milliseconds for which browsers show a frame that states `delay`."""
    return delay if delay > _MIN_DELAY else _BROWSER_DELAY
