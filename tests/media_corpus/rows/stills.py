"""Still images of 16 bits and their relatives: red, green, blue and white corners, on gray."""

import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

WIDTH, HEIGHT = 96, 54
COLORS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (240, 240, 240))
"""Corners from the top left to the bottom right."""
GRAYS = tuple((green,) * 3 for _, green, _ in COLORS)
"""The corners of images without colors."""
BACKGROUND = (0, 160, 160)
"""Of overlays. It is seen through the middle of transparent images."""

Pixels = np.ndarray
"""Rows, columns, components of 8 bits."""


@dataclass(frozen=True)
class StillRow:
    """A still image, and what every operation must show of it."""

    name: str
    make: Callable[[Path], None]
    corners: tuple[tuple[int, ...], ...] = COLORS
    clear: bool = False
    """Whether its middle is transparent, over hidden magenta."""


def _pixels(*, components: int) -> Pixels:
    """Return the picture: 1 component is gray, 2 are gray and alpha, 4 have alpha."""
    picture = np.full((HEIGHT, WIDTH, 4), 128, np.uint8)
    picture[..., 3] = 255
    for number, color in enumerate(COLORS):
        y, x = number // 2 * (HEIGHT - 18), number % 2 * (WIDTH - 32)
        picture[y : y + 18, x : x + 32, :3] = color
    if components in (2, 4):
        picture[20:34, 36:60] = (255, 0, 255, 0)
    return {1: picture[..., 1:2], 2: picture[..., [1, 3]], 3: picture[..., :3], 4: picture}[components]


def _wide(pixels: Pixels, order: str) -> bytes:
    """Return pixels with 16 bits. `order` is `<` or `>`."""
    return (pixels.astype(np.uint16) * 257).astype(f"{order}u2").tobytes()


def by_ffmpeg(pixel_format: str, components: int) -> Callable[[Path], None]:
    """A file of 16 bits that FFmpeg writes."""

    def make(path: Path) -> None:
        source = ["-f", "rawvideo", "-pix_fmt", pixel_format, "-s", f"{WIDTH}x{HEIGHT}", "-i", "-"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-update", "1", "-frames:v", "1", str(path)]
        order = "<" if pixel_format.endswith("le") else ">"
        subprocess.run(command, input=_wide(_pixels(components=components), order), check=True, timeout=60)

    return make


def tiff(order: str, bits: int, components: int, *, turned: bool = False) -> Callable[[Path], None]:
    """A TIFF without compression, in one strip. `turned`: stored lying, with a tag that turns it upright."""

    def make(path: Path) -> None:
        pixels = _pixels(components=components)
        pixels = np.rot90(pixels) if turned else pixels
        data = _wide(pixels, order) if bits == 16 else pixels.tobytes()
        depths = struct.pack(f"{order}{components}H", *[bits] * components)
        # The depths of up to two components are stored in their entry.
        depth = depths.ljust(4, b"\0") if components < 3 else struct.pack(f"{order}I", 8 + len(data))
        height, width = pixels.shape[:2]
        values = [(256, width), (257, height), (258, depth), (259, 1), (262, 2 if components > 2 else 1), (273, 8)]
        values += [(274, 6)] if turned else []
        values += [(277, components), (278, height), (279, len(data))]
        values += [(338, 2)] if components in (2, 4) else []
        entries = [
            struct.pack(f"{order}HHI4s", tag, 3, components, value)
            if isinstance(value, bytes)
            else struct.pack(f"{order}HHII", tag, 4, 1, value)
            for tag, value in values
        ]
        directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
        mark = b"II*\0" if order == "<" else b"MM\0*"
        start = struct.pack(f"{order}I", 8 + len(data) + len(depths))
        path.write_bytes(mark + start + data + depths + directory)

    return make


STILLS = (
    StillRow("rgb-16.png", by_ffmpeg("rgb48be", 3)),
    StillRow("rgba-16.png", by_ffmpeg("rgba64be", 4), clear=True),
    StillRow("gray-16.png", by_ffmpeg("gray16be", 1), GRAYS),
    StillRow("gray-alpha-16.png", by_ffmpeg("ya16be", 2), GRAYS, clear=True),
    StillRow("rgb-16.tiff", by_ffmpeg("rgb48le", 3)),
    StillRow("rgba-16.tiff", by_ffmpeg("rgba64le", 4), clear=True),
    StillRow("gray-16.tiff", by_ffmpeg("gray16le", 1), GRAYS),
    StillRow("big-endian.tiff", tiff(">", 16, 1), GRAYS),
    StillRow("turned-rgb-16.tiff", tiff("<", 16, 3, turned=True)),
    StillRow("turned-gray-16.tiff", tiff("<", 16, 1, turned=True), GRAYS),
    StillRow("turned-gray-16-big-endian.tiff", tiff(">", 16, 1, turned=True), GRAYS),
    StillRow("turned-gray-8.tiff", tiff("<", 8, 1, turned=True), GRAYS),
    StillRow("turned-rgba-8.tiff", tiff("<", 8, 4, turned=True), clear=True),
)
