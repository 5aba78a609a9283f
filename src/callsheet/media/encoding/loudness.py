"""Bringing sound to a target loudness: measured by EBU R 128, then a plain gain, then a limiter for the peaks."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.audio_encode import encode_audio
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg

METER = "ebur128=peak=true:framelog=verbose"
"""A filter that passes sound on and writes its loudness to the log, at verbosity `info`."""

DEFAULT_TRUE_PEAK = -1.5
"""dBTP"""

_SILENCE = -69.0
_MOST_GAIN = 30.0
_CLOSE_ENOUGH = 0.3
_MOST_PASSES = 7
_REPEATED = 3
_LOOPED = 192_000
"""Samples that are repeated at most: more than 0.4 s at any rate in use."""
_ALL_DAY = 24 * 3600.0
_AFTER_ENCODING = 0.3
"""Decibels left below the peak allowed, since lossy encoding raises peaks a little."""


@dataclass(frozen=True, slots=True)
class Target:
    """What sound is brought to."""

    integrated: float = -16.0
    """LUFS"""
    true_peak: float = DEFAULT_TRUE_PEAK
    """dBTP"""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What sound measures."""

    integrated: float
    """LUFS; minus infinity for digital silence."""
    true_peak: float
    """dBTP"""
    range: float = 0.0
    """LU"""

    @property
    def is_silence(self) -> bool:
        """Whether it is too quiet to be measured, and so to be raised."""
        return self.integrated < _SILENCE


def read_audio_filter(text: str) -> Target | str:
    """Read the setting: `loudnorm=…` as a target, any other filter as it is."""
    name, _, options = text.strip().partition("=")
    if name.strip() != "loudnorm" or "," in options:
        return text.strip()
    given = {key.strip().lower(): value for key, _, value in (o.partition("=") for o in options.split(":"))}
    try:
        return Target(float(given.get("i", "-16")), float(given.get("tp", DEFAULT_TRUE_PEAK)))
    except ValueError:
        return text.strip()


def loudness_target(requested: float | bool | None, default: Target | str) -> Target | str | None:
    """Return what to do about loudness: a number is a target in LUFS, False leaves the sound, else as usual."""
    if requested is False:
        return None
    if requested is None or requested is True:
        return default or None
    return Target(float(requested), default.true_peak if isinstance(default, Target) else DEFAULT_TRUE_PEAK)


def read_meter(log: str) -> Loudness:
    """Return what METER wrote. Raises FFmpegFailed when it wrote nothing, as for sound of no length."""
    summary = log.rpartition("Summary:")[2]
    integrated = re.search(r"\bI:\s+(-?[\d.]+|-?inf|nan) LUFS", summary)
    span = re.search(r"\bLRA:\s+([\d.]+) LU", summary)
    peak = re.search(r"\bPeak:\s+(-?[\d.]+|-?inf|nan) dBFS", summary)
    if integrated is None or peak is None:
        raise FFmpegFailed("the loudness of the sound could not be measured")
    return Loudness(_level(integrated[1]), _level(peak[1]), float(span[1]) if span else 0.0)


def _level(text: str) -> float:
    value = float(text)
    return -math.inf if math.isnan(value) else value


async def measure(ffmpeg: FFmpeg, path: Path) -> Loudness:
    """Return the loudness of the first sound track of a file."""
    found = await _measured(ffmpeg, path)
    if found.is_silence and found.true_peak > _SILENCE:
        # Loudness is that of 0.4 s at least; what is shorter is measured as if it were played again and again.
        found = await _measured(ffmpeg, path, f"aloop=loop=-1:size={_LOOPED},", ["-t", str(_REPEATED)])
    return found


async def _measured(ffmpeg: FFmpeg, path: Path, before: str = "", limit: Sequence[str] = ()) -> Loudness:
    words = [*media_input(path), "-map", "0:a:0", "-af", f"{before}{METER}", *limit, "-f", "null", "-"]
    return read_meter((await ffmpeg.capture(words, verbosity="info", timeout=_ALL_DAY)).stderr)


def gain_filter(measured: Loudness, target: Target) -> str | None:
    """Return the filter that brings measured sound to the target; None where nothing is to be done."""
    if measured.is_silence:
        return None
    gain = _gain(measured, target)
    volume = f"volume={escape(gain)}dB"
    ceiling = target.true_peak - _AFTER_ENCODING
    if measured.true_peak + gain <= ceiling:
        return volume if abs(gain) >= 0.05 else None
    # Peaks between samples are seen, and so limited, only at four times the rate.
    limiter = f"alimiter=limit={escape(10 ** (ceiling / 20))}:level=0:attack=2:release=50:latency=1"
    return f"{volume},aresample=192000,{limiter},aresample=48000"


def _gain(now: Loudness, target: Target) -> float:
    return max(-_MOST_GAIN, min(_MOST_GAIN, target.integrated - now.integrated))


async def normalize(
    ffmpeg: FFmpeg, path: Path, measured: Loudness, target: Target, output: Path, encoding: Sequence[str] = ()
) -> Path:
    """Write sound at the target loudness to `output`, and return where it lies.

    That is `path` where nothing is to be done, and a file beside where `encoding`, the words of an encoder, is given:
    the sound is encoded then. Encoders take away what is hardly heard, but counts, and raise peaks; a limiter that
    works hard makes sound quieter. So what comes out in the end is measured, and made again with another gain and
    ceiling if need be. Where not both can be reached, the peak is kept.
    """
    measured = await measure(ffmpeg, path) if measured.is_silence else measured
    if measured.is_silence:
        return await encode_audio(ffmpeg, path, encoding)
    aim, tried, made = target, set[str | None](), path
    while len(tried) < _MOST_PASSES and (filters := gain_filter(measured, aim)) not in tried:
        tried.add(filters)
        made = await encode_audio(ffmpeg, await _gained(ffmpeg, path, filters, output), encoding)
        reached = await measure(ffmpeg, made)
        missed, over = target.integrated - reached.integrated, reached.true_peak - target.true_peak
        if abs(missed) <= _CLOSE_ENOUGH and over <= 0:
            break
        aim = Target(aim.integrated + missed, _lower(measured, aim, over) if over > 0 else aim.true_peak)
    return made


def _lower(now: Loudness, aim: Target, over: float) -> float:
    """Return a ceiling below the one aimed at, by as much as encoded peaks were above what is allowed."""
    before = min(now.true_peak + _gain(now, aim), aim.true_peak - _AFTER_ENCODING)
    return before - over


async def _gained(ffmpeg: FFmpeg, path: Path, filters: str | None, output: Path) -> Path:
    if filters is None:
        return path
    await ffmpeg.run([*media_input(path), "-map", "0:a:0", "-af", filters, *LOSSLESS_ARGS, file_url(output)])
    return output


LOSSLESS_ARGS = ("-c:a", "pcm_f32le", "-ar", "48000", "-f", "w64")
"""Sound on its way between two processes: nothing is lost, not even what is louder than full scale."""
