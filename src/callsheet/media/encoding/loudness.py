"""Normalize loudness: measure by EBU R 128, apply a gain, then limit the peaks."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.audio_encode import encode_audio
from callsheet.media.encoding.pcm import LOSSLESS_ARGS
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg

METER = "ebur128=peak=true:framelog=verbose"
"""A filter that passes audio through and writes its loudness to the log, at verbosity `info`."""

DEFAULT_TRUE_PEAK = -1.5
"""dBTP"""

_SILENCE = -69.0
"""LUFS and dBTP. Quieter audio is silence."""
_MAX_GAIN = 30.0
"""Decibels."""
_TOLERANCE = 0.3
"""LU."""
_MAX_PASSES = 7
_REPEATED_SECONDS = 3
_LOOP_SAMPLES = 192_000
"""Maximum number of samples to repeat: more than 0.4 s at any usual sample rate."""
_MEASURE_TIMEOUT = 24 * 3600.0
"""Seconds."""
_ENCODING_HEADROOM = 0.3
"""Decibels below the allowed peak, since lossy encoding raises peaks slightly."""


@dataclass(frozen=True, slots=True)
class Target:
    """A loudness target."""

    integrated: float = -16.0
    """LUFS"""
    true_peak: float = DEFAULT_TRUE_PEAK
    """dBTP"""


@dataclass(frozen=True, slots=True)
class Loudness:
    """A loudness measurement."""

    integrated: float
    """LUFS. Minus infinity for digital silence."""
    true_peak: float
    """dBTP"""
    range: float = 0.0
    """LU"""

    @property
    def is_silence(self) -> bool:
        """Whether the audio is too quiet to be measured, and therefore to be amplified."""
        return self.integrated < _SILENCE


def read_audio_filter(text: str) -> Target | str:
    """Parse the setting: `loudnorm=…` is a target, any other filter is returned unchanged."""
    name, _, options = text.strip().partition("=")
    if name.strip() != "loudnorm" or "," in options:
        return text.strip()
    given = {key.strip().lower(): value for key, _, value in (o.partition("=") for o in options.split(":"))}
    try:
        return Target(float(given.get("i", "-16")), float(given.get("tp", DEFAULT_TRUE_PEAK)))
    except ValueError:
        return text.strip()


def loudness_target(requested: float | bool | None, default: Target | str) -> Target | str | None:
    """Return the target or filter to apply. None leaves the loudness unchanged.

    `requested` is the parameter of the client: a number is a target in LUFS, False means None, otherwise `default`
    applies.
    """
    if requested is False:
        return None
    if requested is None or requested is True:
        return default or None
    return Target(float(requested), default.true_peak if isinstance(default, Target) else DEFAULT_TRUE_PEAK)


def read_meter(log: str) -> Loudness:
    """Parse the output of METER. Raises FFmpegFailed if there is none, as for audio without samples."""
    summary = log.rpartition("Summary:")[2]
    integrated = re.search(r"\bI:\s+(-?[\d.]+|-?inf|nan) LUFS", summary)
    loudness_range = re.search(r"\bLRA:\s+([\d.]+) LU", summary)
    peak = re.search(r"\bPeak:\s+(-?[\d.]+|-?inf|nan) dBFS", summary)
    if integrated is None or peak is None:
        raise FFmpegFailed("the loudness of the audio could not be measured")
    return Loudness(_level(integrated[1]), _level(peak[1]), float(loudness_range[1]) if loudness_range else 0.0)


def _level(text: str) -> float:
    value = float(text)
    return -math.inf if math.isnan(value) else value


async def measure(ffmpeg: FFmpeg, path: Path, stream: str = "0:a:0") -> Loudness:
    """Return the loudness of an audio stream of a file, by default of its first one."""
    measured = await _measure_once(ffmpeg, path, stream)
    if measured.is_silence and measured.true_peak > _SILENCE:
        # EBU R 128 measures blocks of 0.4 s. Shorter audio is repeated to get a result.
        repeated = ["-t", str(_REPEATED_SECONDS)]
        measured = await _measure_once(ffmpeg, path, stream, f"aloop=loop=-1:size={_LOOP_SAMPLES},", repeated)
    return measured


async def _measure_once(
    ffmpeg: FFmpeg, path: Path, stream: str, prefix: str = "", limit: Sequence[str] = ()
) -> Loudness:
    args = [*media_input(path), "-map", stream, "-af", f"{prefix}{METER}", *limit, "-f", "null", "-"]
    return read_meter((await ffmpeg.capture(args, verbosity="info", timeout=_MEASURE_TIMEOUT)).stderr)


def gain_filter(measured: Loudness, target: Target) -> str | None:
    """Return the filter that brings measured audio to the target, or None if no change is needed."""
    if measured.is_silence:
        return None
    gain = _gain(measured, target)
    volume = f"volume={escape(gain)}dB"
    ceiling = target.true_peak - _ENCODING_HEADROOM
    if measured.true_peak + gain <= ceiling:
        return volume if abs(gain) >= 0.05 else None
    # True peaks lie between samples. The limiter detects them only at four times the sample rate.
    limiter = f"alimiter=limit={escape(10 ** (ceiling / 20))}:level=0:attack=2:release=50:latency=1"
    return f"{volume},aresample=192000,{limiter},aresample=48000"


def _gain(measured: Loudness, target: Target) -> float:
    return max(-_MAX_GAIN, min(_MAX_GAIN, target.integrated - measured.integrated))


@dataclass(frozen=True, slots=True)
class NormalizedAudio:
    """An audio file, and why its loudness is not the target."""

    path: Path
    note: str | None = None
    """Set if the target was missed. Silence has no loudness, and no note."""


async def normalize(
    ffmpeg: FFmpeg, path: Path, measured: Loudness, target: Target, output: Path, encoding: Sequence[str] = ()
) -> NormalizedAudio:
    """Write audio at the target loudness to `output`.

    With `encoding`, the FFmpeg arguments of an encoder, the audio is also encoded, and the returned path is a file
    beside. Without changes to make, the returned path is `path`.

    The result is measured, and encoded again with another gain and ceiling if it misses the target, at most 7 times:
    lossy encoders remove quiet components that count towards loudness and raise peaks, and strong limiting reduces
    loudness. If loudness and peak conflict, the peak limit is kept.
    """
    measured = await measure(ffmpeg, path) if measured.is_silence else measured
    if measured.is_silence:
        return NormalizedAudio(await encode_audio(ffmpeg, path, encoding))
    aim, tried, made, note = target, set[str | None](), path, None
    while len(tried) < _MAX_PASSES and (filters := gain_filter(measured, aim)) not in tried:
        tried.add(filters)
        made = await encode_audio(ffmpeg, await _apply_filters(ffmpeg, path, filters, output), encoding)
        reached = await measure(ffmpeg, made)
        note = _deviation(reached, target)
        missing, excess = target.integrated - reached.integrated, reached.true_peak - target.true_peak
        if note is None:
            break
        ceiling = _lower_ceiling(measured, aim, excess) if excess > 0 else aim.true_peak
        aim = Target(aim.integrated + missing, ceiling)
    return NormalizedAudio(made, note)


def _deviation(reached: Loudness, target: Target) -> str | None:
    """Return how audio differs from its target, or None if it is within the tolerance."""
    if abs(target.integrated - reached.integrated) <= _TOLERANCE and reached.true_peak <= target.true_peak:
        return None
    return (
        f"the loudness is {reached.integrated:.1f} LUFS with a true peak of {reached.true_peak:.1f} dBTP; the target "
        f"of {target.integrated:g} LUFS and at most {target.true_peak:g} dBTP cannot be reached with this audio"
    )


def _lower_ceiling(measured: Loudness, aim: Target, excess: float) -> float:
    """Return the true peak to aim at next, after encoded peaks exceeded the limit by `excess` decibels."""
    peak = min(measured.true_peak + _gain(measured, aim), aim.true_peak - _ENCODING_HEADROOM)
    return peak - excess


async def _apply_filters(ffmpeg: FFmpeg, path: Path, filters: str | None, output: Path) -> Path:
    if filters is None:
        return path
    await ffmpeg.run([*media_input(path), "-map", "0:a:0", "-af", filters, *LOSSLESS_ARGS, file_url(output)])
    return output
