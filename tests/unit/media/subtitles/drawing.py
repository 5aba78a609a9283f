"""Draws lines of text with FFmpeg and looks at the pixels."""

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
from callsheet.media.subtitles.ass import Line, script
from callsheet.media.subtitles.style import TextStyle
from callsheet.settings import Settings


def style(**fields: object) -> TextStyle:
    return TextStyle.model_validate(fields)


def draw(
    text: Sequence[Line] | str, *, size: tuple[int, int] = (320, 180), seconds: float = 1, rate: int = 10
) -> np.ndarray:
    """Every frame of lines, or of a script, on black: an array of frames, rows, columns, colours."""
    return _drawn(text, size, seconds, rate)[0]


def complaints(text: Sequence[Line] | str, *, size: tuple[int, int] = (320, 180)) -> str:
    """What the renderer says about its fonts."""
    said = _drawn(text, size, 0.1, 10)[1]
    return "\n".join(re.findall(r"fontselect: .*", said))


def _drawn(text: Sequence[Line] | str, size: tuple[int, int], seconds: float, rate: int) -> tuple[np.ndarray, str]:
    written = text if isinstance(text, str) else script(text, width=size[0], height=size[1])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.ass").write_text(written, encoding="utf-8")
        picture = f"color=black:size={size[0]}x{size[1]}:rate={rate}:duration={seconds},format=yuv444p"
        to_rgb = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc,format=rgb24"
        filters = f"{picture},setparams=colorspace=bt709:range=tv,subtitles=x.ass,{to_rgb}"
        command = [str(_binary()), "-v", "verbose", "-f", "lavfi", "-i", filters, "-f", "rawvideo", "-"]
        surroundings = {"FONTCONFIG_FILE": str(_no_fonts_but_ours()), "HOME": folder, "PATH": os.environ["PATH"]}
        ran = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, check=True, timeout=60)
    frames = np.frombuffer(ran.stdout, np.uint8).reshape(-1, size[1], size[0], 3)
    return frames.astype(int), ran.stderr.decode()


@cache
def _binary() -> Path:
    return find_ffmpeg(Settings(_env_file=None))


@cache
def _no_fonts_but_ours() -> Path:
    """A copy of our configuration as if the system had no fonts, which remembers what it has read."""
    folder = Path(tempfile.mkdtemp(prefix="fonts-"))
    text = FONTCONFIG.read_text().replace('<dir prefix="relative">', f"<dir>{FONTCONFIG.parent}/")
    text = re.sub(r"<dir>/(usr|Library|System).*?</dir>", "", text)
    text = re.sub(r"<cachedir.*?</cachedir>", f"<cachedir>{folder}/cache</cachedir>", text)
    path = folder / "fonts.conf"
    path.write_text(text)
    return path


def lit(frame: np.ndarray, least: int = 100) -> np.ndarray:
    """Which pixels of a frame are bright."""
    return frame.max(axis=2) >= least


def like(frame: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Which pixels of a frame have a colour, nearly."""
    return np.abs(frame - np.array(colour)).max(axis=2) < 60


def box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """The left, top, right and bottom of pixels; the last two are those after the last."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    assert rows.size, "nothing is seen"
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def middle(pixels: np.ndarray) -> tuple[float, float]:
    left, top, right, bottom = box(pixels)
    return (left + right) / 2, (top + bottom) / 2
