"""Measures what an operation made, by FFmpeg alone."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_HERTZ = 8000
_MIN_LEVEL = 0.05
_MIN_GRAY = 128
_SIDE = 4
"""The picture is reduced to this many cells in both directions: four are its corners, and four are its middle."""
_NAMED = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "white": (240, 240, 240),
    "black": (0,) * 3,
}

_SOUND = ("-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", "-ar", str(_HERTZ), "-c:a", "pcm_f32le", "-f", "wav")


@dataclass(frozen=True)
class FilmFacts:
    """What a film shows and plays."""

    frames: int
    flashes: list[float]
    """Times at which the picture turns white, in seconds."""
    corners: list[str]
    """The colors of the corners of a frame near the start, from the top left to the bottom right."""
    middle: str
    """The color in the middle of this frame."""
    beeps: list[float]
    """Times at which a beep starts, in seconds."""
    level: float
    """The amplitude of the beeps, as one channel with the power of all."""


@dataclass(frozen=True)
class SoundFacts:
    """What a file plays."""

    seconds: float
    beeps: list[float]
    level: float


def film(binary: Path, path: Path, *, has_audio: bool, rate: float = 25, colorful: bool = False) -> FilmFacts:
    """Return what a film shows and plays. Frames are counted at `rate`. `colorful`: colors touch each other."""
    # Reduced in YUV, colors would mix with their neighbors. `fps` would restart where the picture changes its size.
    filters = f"{'format=gbrp,' if colorful else ''}scale={_SIDE}:{_SIDE}:flags=area"
    picture = ["-map", "0:V:0", "-vf", filters, "-fps_mode", "cfr", "-r", str(rate)]
    sound = path.with_name(f"{path.name}.f32")
    audio = [*_SOUND, str(sound)] if has_audio else []
    raw = _read(binary, path, *audio, *picture, "-pix_fmt", "rgb24", "-f", "rawvideo")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, _SIDE, _SIDE, 3)
    middle = frames[:, 1:-1, 1:-1].mean(axis=(1, 2, 3))
    played = _sound_facts(sound.read_bytes() if has_audio else b"")
    white = [float(n) / rate for n in _rises(middle > _MIN_GRAY)]
    early = frames[min(3, len(frames) - 1)]
    return FilmFacts(len(frames), white, _corners(early), _named(early[1, 1]), played.beeps, played.level)


def sound(binary: Path, path: Path) -> SoundFacts:
    """Return what a file plays."""
    return _sound_facts(_read(binary, path, *_SOUND))


def corners_of_image(path: Path, part: tuple[int, int, int, int] | None = None) -> list[str]:
    """Return the colors of the corners of an image, or of its part from left and top to right and bottom."""
    with Image.open(path) as image:
        small = image.convert("RGB").crop(part).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return _corners(np.asarray(small))


def key_frames(binary: Path, path: Path) -> int:
    """Return the number of key frames of a film."""
    lines = _read(binary, path, "-map", "0:v:0", "-c", "copy", "-f", "framecrc").decode().splitlines()
    return sum("F=" not in line for line in lines if not line.startswith("#"))


def _corners(cells: np.ndarray) -> list[str]:
    return [_named(cells[y, x]) for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1))]


def _named(pixel: np.ndarray) -> str:
    return min(_NAMED, key=lambda name: np.abs(pixel.astype(int) - _NAMED[name]).sum())


def _sound_facts(wav: bytes) -> SoundFacts:
    if not wav:
        return SoundFacts(0.0, [], 0.0)
    channels, start = int.from_bytes(wav[22:24], "little"), wav.index(b"data") + 8
    each = np.frombuffer(wav[start : len(wav) - (len(wav) - start) % (4 * channels)], np.float32)
    samples = np.sqrt((each.reshape(-1, channels) ** 2).sum(axis=1))
    loud = np.convolve(samples > _MIN_LEVEL, np.ones(80) / 80, "same") > 0.2
    level = float(np.quantile(samples[loud], 0.95)) if loud.any() else 0.0
    return SoundFacts(len(samples) / _HERTZ, [float(n) / _HERTZ for n in _rises(loud)], level)


def _rises(on: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(np.concatenate([[False], on]).astype(int)) == 1)


def _read(binary: Path, path: Path, *args: str) -> bytes:
    command = [str(binary), "-v", "error", "-nostdin", "-y", "-i", f"file:{path}", *args, "-"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
