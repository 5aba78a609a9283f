"""Whether a hardware encoder works here. Only encoding tells: builds list encoders without any hardware."""

import time
from collections.abc import Sequence
from pathlib import Path

from callsheet.domain.errors import JobError
from callsheet.media.ffmpeg.runner import FFmpeg

_OUTCOME_TTL = 60.0
"""Seconds for which an outcome is believed; drivers and sessions come and go."""

_outcomes: dict[tuple[Path, str, str], tuple[float, str | None]] = {}

_TEST_INPUT = ["-f", "lavfi", "-i", "color=black:size=256x144:rate=25:duration=1"]
"""Encoders of hardware have smallest sizes."""


async def unusable_reason(ffmpeg: FFmpeg, name: str, pixel_format: str, words: Sequence[str]) -> str | None:
    """Return why an encoder cannot be used with a pixel format, or None when it can.

    One frame is really encoded to know, by `words`; the outcome is kept for a minute.
    """
    key = (ffmpeg.binary, name, pixel_format)
    known = _outcomes.get(key)
    if known is None or time.monotonic() - known[0] > _OUTCOME_TTL:
        known = _outcomes[key] = (time.monotonic(), await _test_encode(ffmpeg, words))
    return known[1]


def mark_failed(ffmpeg: FFmpeg, name: str, pixel_format: str, reason: str) -> None:
    """Remember that an encoder failed at real work."""
    _outcomes[ffmpeg.binary, name, pixel_format] = (time.monotonic(), reason)


async def _test_encode(ffmpeg: FFmpeg, words: Sequence[str]) -> str | None:
    try:
        report = await ffmpeg.run([*_TEST_INPUT, *words, "-frames:v", "1", "-f", "null", "-"], timeout=10)
    except JobError as error:
        return error.message.removeprefix("FFmpeg stopped: ").partition(" (")[0]
    return None if report.frames == 1 else "it encoded nothing"
