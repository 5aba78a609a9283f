"""Checking that FFmpeg wrote what it was asked for: it often reports success with a wrong file."""

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.runner import FFmpegReport
from callsheet.media.probing.probe import probe

_DAMAGE = (
    # The file breaks off.
    "partial file",
    "File ended prematurely",
    "stream 0, offset",
    "Truncating packet",
    # Bits of it are wrong. Decoders go on with what they have, and FFmpeg reports success.
    "Packet corrupt",
    "corrupt input packet",
    "corrupt decoded frame",
    "rror while decoding",
    "Error submitting packet to decoder",
    "Decoding error",
    "concealing",
    "Invalid NAL unit size",
    "CRC mismatch",
)
_NO_FONT = "failed to find any fallback with glyph 0x0"
# MP3 is cut anywhere by many tools; a broken frame at either end is usual, and not heard.
_OFTEN_BROKEN = "[dec:mp3"
_SOUND_SLACK = 0.05
"""Seconds; sound is encoded in frames of its own."""
_SOUND_FILE_SLACK = 0.15
"""Seconds; MP3 and Opus tell what encoders put before and behind, or do not."""


@dataclass(frozen=True, slots=True)
class ExpectedVideo:
    """What a finished film must be."""

    width: int
    height: int
    frames: int
    rate: Fraction
    has_audio: bool


async def verify_video(path: Path, expected: ExpectedVideo) -> Probe:
    """Return the probe of a finished film. Raises FFmpegFailed with everything that differs from what was planned."""
    found = await probe(path)
    wrong = [*_differences(found, expected)]
    if await asyncio.to_thread(_index_at_the_end, path):
        wrong.append("its index is at the end, so it would not begin to play before it is loaded")
    if wrong:
        raise FFmpegFailed(f"FFmpeg reported success, but the film is wrong: {'; '.join(wrong)}")
    return found


@dataclass(frozen=True, slots=True)
class ExpectedAudio:
    """What a finished sound file must be."""

    seconds: float
    channels: int | None = None
    """None: any number."""
    sample_rate: int | None = None


async def verify_audio(path: Path, expected: ExpectedAudio) -> Probe:
    """Return the probe of a finished sound file. Raises FFmpegFailed with everything that differs from the plan."""
    found = await probe(path)
    wrong: list[str] = []
    if found.audio_codec is None:
        wrong.append("no sound")
    if abs((found.duration or 0) - expected.seconds) > _SOUND_FILE_SLACK:
        wrong.append(f"{found.duration or 0:.3f} s instead of {expected.seconds:.3f} s")
    if expected.channels not in (None, found.audio_channels):
        wrong.append(f"{found.audio_channels} channels instead of {expected.channels}")
    if expected.sample_rate not in (None, found.sample_rate):
        wrong.append(f"{found.sample_rate} Hz instead of {expected.sample_rate} Hz")
    if wrong:
        raise FFmpegFailed(f"FFmpeg reported success, but the sound is wrong: {'; '.join(wrong)}")
    return found


def _index_at_the_end(path: Path) -> bool:
    """Tell whether an MP4 holds its pictures before the index to them; False for other files."""
    with path.open("rb") as file:
        while len(head := file.read(16)) == 16:
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if kind in (b"moov", b"mdat"):
                return kind == b"mdat"
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            if size < 8 or not kind.isalnum():
                return False
            file.seek(size - 16, 1)
    return False


def _differences(found: Probe, expected: ExpectedVideo) -> list[str]:
    wrong: list[str] = []
    if (found.width, found.height) != (expected.width, expected.height):
        wrong.append(f"{found.width}x{found.height} instead of {expected.width}x{expected.height}")
    if found.frames is not None and abs(found.frames - expected.frames) > 1:
        wrong.append(f"{found.frames} frames instead of {expected.frames}")
    seconds = float(expected.frames / expected.rate)
    if abs((found.duration or 0) - seconds) > float(1 / expected.rate) + _SOUND_SLACK:
        wrong.append(f"{found.duration or 0:.3f} s instead of {seconds:.3f} s")
    if (found.audio_codec is not None) != expected.has_audio:
        wrong.append("sound where none was planned" if found.audio_codec else "no sound")
    return wrong


def check_frame_count(report: FFmpegReport, frames: int, what: str) -> None:
    """Raise FFmpegFailed unless a run wrote the frames it was to write."""
    if report.frames != frames:
        raise FFmpegFailed(f"{what}: FFmpeg wrote {report.frames or 0} of {frames} frames; the source breaks off")


def check_stderr(stderr: str, what: str) -> None:
    """Raise FFmpegFailed when FFmpeg said that a source breaks off or is damaged, or that it drew no text at all."""
    if is_damaged(stderr):
        raise FFmpegFailed(f"{what}: the source is damaged or incomplete. Upload it again")
    if _NO_FONT in stderr:
        raise FFmpegFailed(f"{what}: no usable font was found, so no text was drawn")


def is_damaged(stderr: str) -> bool:
    """Tell whether FFmpeg said that what it read breaks off, or is damaged."""
    lines = [line for line in stderr.splitlines() if _OFTEN_BROKEN not in line]
    return any(sign in line for sign in _DAMAGE for line in lines)


def missing_fonts(stderr: str) -> bool:
    """Tell whether text holds characters that no font at hand can draw."""
    return "failed to find any fallback" in stderr
