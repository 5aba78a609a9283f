"""Compare FFmpeg's output with the plan: FFmpeg often exits with 0 although the file is wrong.

The functions named `…_problems` yield one text per difference. `raise_on_problems` turns them into an error.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.runner import FFmpegReport
from callsheet.media.probing.mp4_boxes import is_fast_start
from callsheet.media.probing.probe import probe

_DAMAGE = (
    # The file is truncated.
    "partial file",
    "File ended prematurely",
    "stream 0, offset",
    "Truncating packet",
    # Some bits are wrong. Decoders conceal the damage, and FFmpeg exits with 0.
    "Packet corrupt",
    "corrupt decoded frame",
    "rror while decoding",
    "Error submitting packet to decoder",
    "Decoding error",
    "concealing",
    "Invalid NAL unit size",
    "CRC mismatch",
)
_NO_FONT = "failed to find any fallback with glyph 0x0"
_HARMLESS = (
    # Many tools cut MP3 files between frame boundaries. A broken frame at either end is common and inaudible.
    "[dec:mp3",
    "[mp3",
    # The end of a WAV that states no length. Whether one is cut off is measured when it is opened.
    "/wav @",
    "[wav @",
)
_AUDIO_FRAME_TOLERANCE = 0.05
"""Seconds. Audio codecs encode whole frames, so that audio may end after the video."""
_AUDIO_FILE_TOLERANCE = 0.15
"""Seconds. MP3 and Opus durations may include encoder delay and padding."""


@dataclass(frozen=True, slots=True)
class ExpectedVideo:
    """The planned properties of a finished video."""

    width: int
    height: int
    frames: int
    rate: Fraction
    has_audio: bool


async def verify_video(path: Path, expected: ExpectedVideo) -> Probe:
    """Return the probe of a finished video. Raises FFmpegFailed, naming every difference from the plan."""
    found = await probe(path)
    seconds = float(expected.frames / expected.rate)
    problems = [
        *frame_size_problems(found, expected.width, expected.height),
        *frame_count_problems(found.frames, expected.frames, tolerance=1),
        *duration_problems(found.duration, seconds, float(1 / expected.rate) + _AUDIO_FRAME_TOLERANCE),
        *audio_presence_problems(found.audio_codec is not None, expected=expected.has_audio),
    ]
    if await asyncio.to_thread(is_fast_start, path) is False:
        problems.append("its index is at the end, so that players must load the whole file before they start")
    raise_on_problems("the video", problems)
    return found


@dataclass(frozen=True, slots=True)
class ExpectedAudio:
    """The planned properties of a finished audio file."""

    seconds: float | None
    """None: any duration."""
    channels: int | None = None
    """None: any number."""
    sample_rate: int | None = None
    """Hertz. None: any rate."""


async def verify_audio(path: Path, expected: ExpectedAudio) -> Probe:
    """Return the probe of a finished audio file. Raises FFmpegFailed, naming every difference from the plan."""
    found = await probe(path)
    problems = [
        *audio_presence_problems(found.audio_codec is not None, expected=True),
    ]
    if expected.seconds is not None:
        problems += duration_problems(found.duration, expected.seconds, _AUDIO_FILE_TOLERANCE)
    if expected.channels not in (None, found.audio_channels):
        problems.append(f"{found.audio_channels} channels instead of {expected.channels}")
    if expected.sample_rate not in (None, found.sample_rate):
        problems.append(f"{found.sample_rate} Hz instead of {expected.sample_rate} Hz")
    raise_on_problems("the audio", problems)
    return found


def frame_size_problems(found: Probe, width: int, height: int) -> Iterator[str]:
    """Yield a problem unless the frames have the planned size in pixels."""
    if (found.width, found.height) != (width, height):
        yield f"{found.width}x{found.height} instead of {width}x{height}"


def frame_count_problems(found: int | None, expected: int, *, tolerance: int = 0) -> Iterator[str]:
    """Yield a problem if the number of frames is known and differs by more than `tolerance`."""
    if found is not None and abs(found - expected) > tolerance:
        yield f"{found} frames instead of {expected}"


def duration_problems(found: float | None, expected: float, tolerance: float) -> Iterator[str]:
    """Yield a problem if the duration differs by more than `tolerance` seconds. An unknown duration counts as 0."""
    if abs((found or 0) - expected) > tolerance:
        yield f"{found or 0:.3f} s instead of {expected:.3f} s"


def audio_presence_problems(found: bool, *, expected: bool) -> Iterator[str]:
    """Yield a problem if an audio stream is missing, or was not planned."""
    if found != expected:
        yield "an audio stream where none was planned" if found else "no audio stream"


def raise_on_problems(subject: str, problems: Iterable[str]) -> None:
    """Raise FFmpegFailed, naming all problems, if there are any. `subject` names the file for the message."""
    if text := "; ".join(problems):
        raise FFmpegFailed(f"FFmpeg reported success, but {subject} is wrong: {text}")


def check_frame_count(report: FFmpegReport, frames: int, subject: str, *, tolerance: int = 0) -> None:
    """Raise FFmpegFailed unless a run wrote `frames` frames. `subject` names the input for the message."""
    if report.frames is None or abs(report.frames - frames) > tolerance:
        raise FFmpegFailed(f"{subject}: FFmpeg wrote {report.frames or 0} of {frames} frames; the source is truncated")


def check_stderr(stderr: str, subject: str, *, strict: bool = True) -> list[str]:
    """Return a note if stderr reports a truncated or damaged source.

    Raises FFmpegFailed for such a source if `strict`, and if no text could be drawn.
    """
    if _NO_FONT in stderr:
        raise FFmpegFailed(f"{subject}: no usable font was found, so no text was drawn")
    if not is_damaged(stderr):
        return []
    if strict:
        raise FFmpegFailed(f"{subject}: the source is damaged or incomplete")
    return [f"{subject}: the source is damaged or incomplete; what could be decoded was used"]


def is_damaged(stderr: str) -> bool:
    """Return whether stderr reports a truncated or damaged input."""
    lines = [line for line in stderr.splitlines() if not any(sign in line for sign in _HARMLESS)]
    return any(sign in line for sign in _DAMAGE for line in lines)


def missing_fonts(stderr: str) -> bool:
    """Return whether text contains characters that no available font can draw."""
    return "failed to find any fallback" in stderr
