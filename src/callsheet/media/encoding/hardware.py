"""Test whether a hardware encoder works on this machine. Builds list encoders even if the hardware is missing."""

import time
from collections.abc import Sequence
from pathlib import Path

from callsheet.domain.errors import JobError
from callsheet.media.ffmpeg.runner import FFmpeg

_OUTCOME_TTL = 60.0
"""Seconds that an outcome is cached. Drivers and GPU sessions become available and unavailable."""

_outcomes: dict[tuple[Path, str, str], tuple[float, str | None]] = {}

_TEST_INPUT = ["-f", "lavfi", "-i", "color=black:size=256x144:rate=25:duration=1"]
"""Hardware encoders reject smaller frames."""
_TEST_TIMEOUT = 10.0
"""Seconds."""


async def unusable_reason(ffmpeg: FFmpeg, name: str, pixel_format: str, args: Sequence[str]) -> str | None:
    """Return why an encoder cannot be used with a pixel format, or None if it works.

    `args` are used to encode one frame. The outcome is cached for a minute.
    """
    key = (ffmpeg.binary, name, pixel_format)
    known = _outcomes.get(key)
    if known is None or time.monotonic() - known[0] > _OUTCOME_TTL:
        known = _outcomes[key] = (time.monotonic(), await _test_encode(ffmpeg, args))
    return known[1]


def mark_failed(ffmpeg: FFmpeg, name: str, pixel_format: str, reason: str) -> None:
    """Cache that an encoder failed in a job."""
    _outcomes[ffmpeg.binary, name, pixel_format] = (time.monotonic(), reason)


async def _test_encode(ffmpeg: FFmpeg, args: Sequence[str]) -> str | None:
    try:
        report = await ffmpeg.run([*_TEST_INPUT, *args, "-frames:v", "1", "-f", "null", "-"], timeout=_TEST_TIMEOUT)
    except JobError as error:
        return error.message.removeprefix("FFmpeg stopped: ").partition(" (")[0]
    return None if report.frames == 1 else "it encoded no frame"
