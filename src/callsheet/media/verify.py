"""Checking that FFmpeg wrote what it was asked for: it often reports success with a wrong file."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import MediaFailed
from callsheet.media.probe import probe
from callsheet.media.runner import Report

_DAMAGE = (
    "partial file",
    "File ended prematurely",
    "stream 0, offset",
    "Packet corrupt",
    "corrupt input packet",
    "Truncating packet",
)
_SOUND_SLACK = 0.05
"""Seconds; sound is encoded in frames of its own."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a finished film must be."""

    width: int
    height: int
    frames: int
    rate: Fraction
    sound: bool


async def verified(path: Path, expected: Expected) -> Probe:
    """Return the probe of a finished film. Raises MediaFailed with everything that differs from what was planned."""
    found = await probe(path)
    wrong = [*_differences(found, expected)]
    if wrong:
        raise MediaFailed(f"FFmpeg reported success, but the film is wrong: {'; '.join(wrong)}")
    return found


def _differences(found: Probe, expected: Expected) -> list[str]:
    wrong: list[str] = []
    if (found.width, found.height) != (expected.width, expected.height):
        wrong.append(f"{found.width}x{found.height} instead of {expected.width}x{expected.height}")
    if found.frames is not None and abs(found.frames - expected.frames) > 1:
        wrong.append(f"{found.frames} frames instead of {expected.frames}")
    seconds = float(expected.frames / expected.rate)
    if abs((found.duration or 0) - seconds) > float(1 / expected.rate) + _SOUND_SLACK:
        wrong.append(f"{found.duration or 0:.3f} s instead of {seconds:.3f} s")
    if (found.audio_codec is not None) != expected.sound:
        wrong.append("sound where none was planned" if found.audio_codec else "no sound")
    return wrong


def check_frames(report: Report, frames: int, what: str) -> None:
    """Raise MediaFailed unless a run wrote the frames it was to write."""
    if report.frames is None or abs(report.frames - frames) > 1:
        raise MediaFailed(f"{what}: FFmpeg wrote {report.frames or 0} of {frames} frames; the source breaks off")


def check_whole(stderr: str, what: str) -> None:
    """Raise MediaFailed when FFmpeg said that a source breaks off or is damaged."""
    if any(sign in stderr for sign in _DAMAGE):
        raise MediaFailed(f"{what}: the source is damaged or incomplete. Upload it again")


def unfound_fonts(stderr: str) -> bool:
    """Tell whether text holds characters that no font at hand can draw."""
    return "failed to find any fallback" in stderr
