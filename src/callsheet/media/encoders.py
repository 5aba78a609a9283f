"""Which encoder makes the picture."""

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.errors import JobError, MediaFailed
from callsheet.media.binary import capabilities
from callsheet.media.runner import FFmpeg
from callsheet.media.words import PRESETS, Quality

_CRF: dict[Quality, int] = {"low": 28, "medium": 23, "high": 19, "best": 16}
DEFAULT_CRF = 20

_TEST_LASTS = 60.0
"""Seconds for which the outcome of a test encode is believed; drivers and sessions come and go."""

_tested: dict[Path, tuple[float, str | None]] = {}

BT709 = (
    *("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
"""Words for the colours that every picture of ours has."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder with its setting."""

    name: str
    options: tuple[str, ...]

    def words(self, *, rate: Fraction, threads: int) -> list[str]:
        """Return the output options for a picture at this rate."""
        threading = ["-threads", str(threads)] if self.name == "libx264" else []
        # A key frame at least every four seconds keeps players quick at seeking.
        keys = ["-g", str(max(1, round(4 * rate)))]
        return ["-c:v", self.name, *self.options, *keys, *threading, *BT709]


def crf_for(quality: Quality | None, crf: int | None) -> int:
    """Return the constant rate factor asked for, in either form."""
    return crf if crf is not None else _CRF[quality] if quality else DEFAULT_CRF


def x264(*, preset: str, crf: int) -> Encoder:
    """Return the encoder that works everywhere."""
    return Encoder("libx264", ("-preset", preset, "-crf", str(crf)))


def nvenc(*, preset: str, crf: int) -> Encoder:
    """Return NVIDIA's encoder at about the same quality; its presets p1 to p7 follow x264's names."""
    known = PRESETS.index(preset) if preset in PRESETS else PRESETS.index("medium")
    step = 1 + round(known * 6 / (len(PRESETS) - 1))
    return Encoder("h264_nvenc", ("-preset", f"p{step}", "-rc", "vbr", "-cq", str(crf), "-b:v", "0"))


async def choose(ffmpeg: FFmpeg, *, use_gpu: bool, preset: str, crf: int) -> tuple[Encoder, str | None]:
    """Return the encoder to use, with a note when it is not the one asked for.

    Raises MediaFailed when the binary has no H.264 encoder at all.
    """
    note = await why_no_nvenc(ffmpeg) if use_gpu else None
    if use_gpu and note is None:
        return nvenc(preset=preset, crf=crf), None
    if "libx264" not in (await capabilities(ffmpeg.binary)).encoders:
        raise MediaFailed("this FFmpeg was built without libx264. Set FFMPEG_PATH to a fuller build")
    return x264(preset=preset, crf=crf), note and f"encoded by libx264, not on the GPU: {note}"


async def why_no_nvenc(ffmpeg: FFmpeg) -> str | None:
    """Return why NVENC cannot be used here, or None when it can: one frame is really encoded to know."""
    known = _tested.get(ffmpeg.binary)
    if known is None or time.monotonic() - known[0] > _TEST_LASTS:
        known = _tested[ffmpeg.binary] = (time.monotonic(), await _try_nvenc(ffmpeg))
    return known[1]


def distrust_nvenc(ffmpeg: FFmpeg, reason: str) -> None:
    """Remember that NVENC failed at real work."""
    _tested[ffmpeg.binary] = (time.monotonic(), reason)


async def _try_nvenc(ffmpeg: FFmpeg) -> str | None:
    if "h264_nvenc" not in (await capabilities(ffmpeg.binary)).encoders:
        return "this FFmpeg was built without NVENC"
    frame = ["-f", "lavfi", "-i", "color=black:size=256x144:rate=1:duration=1", "-frames:v", "1"]
    try:
        await ffmpeg.run([*frame, "-pix_fmt", "yuv420p", "-c:v", "h264_nvenc", "-f", "null", "-"], timeout=10)
    except JobError as error:
        return error.message.removeprefix("FFmpeg stopped: ")
    return None
