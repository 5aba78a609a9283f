"""Rendering of text with FFmpeg, and pixel measurements."""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from callsheet.media.ffmpeg.binary import find_ffmpeg
from callsheet.media.fonts import FONTCONFIG
from callsheet.media.subtitles.ass import Line, build_script
from callsheet.media.subtitles.style import TextStyle
from callsheet.settings import Settings


def style(**fields: object) -> TextStyle:
    return TextStyle.model_validate(fields)


def draw(
    text: Sequence[Line] | str, *, size: tuple[int, int] = (320, 180), seconds: float = 1, rate: int = 10
) -> np.ndarray:
    """Render lines or a script on black; return an array of frames, rows, columns, colors."""
    return _render(text, size, seconds, rate)[0]


def font_log(text: Sequence[Line] | str, *, size: tuple[int, int] = (320, 180)) -> str:
    """Return the log messages of libass about its fonts."""
    log = _render(text, size, 0.1, 10)[1]
    return "\n".join(re.findall(r"fontselect: .*", log))


def _render(text: Sequence[Line] | str, size: tuple[int, int], seconds: float, rate: int) -> tuple[np.ndarray, str]:
    written = text if isinstance(text, str) else build_script(text, width=size[0], height=size[1])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.ass").write_text(written, encoding="utf-8")
        video = f"color=black:size={size[0]}x{size[1]}:rate={rate}:duration={seconds},format=yuv444p"
        to_rgb = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc,format=rgb24"
        filters = f"{video},setparams=colorspace=bt709:range=tv,subtitles=x.ass,{to_rgb}"
        command = [str(_binary()), "-v", "verbose", "-f", "lavfi", "-i", filters, "-f", "rawvideo", "-"]
        environment = {"FONTCONFIG_FILE": str(_bundled_fonts_only()), "HOME": folder, "PATH": os.environ["PATH"]}
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, timeout=60)
    frames = np.frombuffer(ran.stdout, np.uint8).reshape(-1, size[1], size[0], 3)
    return frames.astype(int), ran.stderr.decode()


@cache
def _binary() -> Path:
    return find_ffmpeg(Settings(_env_file=None))


@cache
def _bundled_fonts_only() -> Path:
    """Return a copy of the bundled Fontconfig file without system fonts, with a font cache."""
    folder = Path(tempfile.mkdtemp(prefix="fonts-"))
    text = FONTCONFIG.read_text().replace('<dir prefix="relative">', f"<dir>{FONTCONFIG.parent}/")
    text = re.sub(r"<dir>/(usr|Library|System).*?</dir>", "", text)
    text = re.sub(r"<cachedir.*?</cachedir>", f"<cachedir>{folder}/cache</cachedir>", text)
    path = folder / "fonts.conf"
    path.write_text(text)
    return path


def lit(frame: np.ndarray, minimum: int = 100) -> np.ndarray:
    """Return which pixels of a frame are bright."""
    return frame.max(axis=2) >= minimum


def like(frame: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Return which pixels of a frame have approximately a color."""
    return np.abs(frame - np.array(color)).max(axis=2) < 60


def box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """Return the bounding box of pixels: left, top, right, bottom; right and bottom are exclusive."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    assert rows.size, "nothing is visible"
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def middle(pixels: np.ndarray) -> tuple[float, float]:
    left, top, right, bottom = box(pixels)
    return (left + right) / 2, (top + bottom) / 2
