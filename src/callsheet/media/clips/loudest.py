"""Find the loudest part of a recording, by EBU R 128."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import MediaInfo

STEP = 0.1
"""Seconds between two measurements."""
_BLOCK = 0.4
"""Seconds that a measurement, the momentary loudness, looks back."""
_SILENCE = -70.0
"""LUFS. Quieter moments do not count, as in the gate of the standard."""
_TIMEOUT = 24 * 3600.0
"""Seconds."""
_MOMENT = re.compile(rb"lavfi\.r128\.M=(-?[\d.]+|-?inf|nan)")


@dataclass(frozen=True, slots=True)
class LoudPart:
    """A part of a recording. Times are seconds from its start."""

    start: float
    end: float
    loudness: float | None
    """LUFS; None for silence."""


async def measure_moments(ffmpeg: FFmpeg, source: MediaInfo, track: int | None = None) -> list[float]:
    """Return the momentary loudness in LUFS after every `STEP` seconds. The audio is read once, as a stream.

    `track` is the number of the audio stream; None: the one that players select.
    """
    graph = FilterGraph()
    stream = source.audio if track is None else source.audio_streams[track]
    # The meter takes time from the first sample on; silence fills a late start and gaps, as in playback.
    filled = graph.add("aresample", f"0:{stream.index}", **{"async": 1, "first_pts": 0})
    measured = graph.add("ebur128", filled, metadata=1, framelog="verbose")
    printed = graph.add("ametadata", measured, mode="print", key="lavfi.r128.M", file="-")
    args = [*media_input(source.path), "-vn", "-sn", "-dn"]
    args += ["-filter_complex", str(graph), "-map", f"[{printed}]", "-f", "null", "-"]
    printed_lines = (await ffmpeg.capture(args, timeout=_TIMEOUT)).stdout
    return [float(match[1]) for match in _MOMENT.finditer(printed_lines)]


def loudest_part(moments: Sequence[float], length: float, seconds: float, snap: float = 0.0) -> LoudPart:
    """Return the part of `seconds` with the highest mean power in a recording of `length` seconds.

    Of equal parts it is the first. With `snap`, start and end move to the quietest moment within so many seconds, so
    that no word is cut; the start of the recording and its end stay.
    """
    powers = [_power(moment) for moment in moments]
    sums = [0.0, *accumulate(powers)]
    if seconds >= length or not powers:
        return LoudPart(0.0, length, _mean_loudness(sums, 0, len(powers)))
    width = min(len(powers), max(1, round(seconds / STEP)))
    best = max(range(len(powers) - width + 1), key=lambda first: (round(sums[first + width] - sums[first], 9), -first))
    first, last = best, best + width
    if snap:
        reach = round(snap / STEP)
        first = 0 if first == 0 else _quietest(powers, first, reach, 0, last - 1)
        last = last if last >= len(powers) else _quietest(powers, last, reach, first + 1, len(powers))
    end = length if last >= len(powers) else min(length, last * STEP)
    return LoudPart(round(first * STEP, 3), round(end, 3), _mean_loudness(sums, first, last))


def _power(moment: float) -> float:
    # The constant of the standard (−0.691) is the same for all moments, and returns with the mean.
    return 10 ** (moment / 10) if math.isfinite(moment) and moment > _SILENCE else 0.0


def _mean_loudness(sums: Sequence[float], first: int, last: int) -> float | None:
    power = (sums[last] - sums[first]) / max(1, last - first)
    loudness = 10 * math.log10(power) if power > 0 else -math.inf
    return round(loudness, 1) if loudness > _SILENCE else None


def _quietest(powers: Sequence[float], edge: int, reach: int, low: int, high: int) -> int:
    """Return the step within `reach` of an edge at which the recording is quietest, the nearest of equal ones.

    A measurement looks back, so the one in whose middle the edge lies comes later.
    """
    shift = round(_BLOCK / 2 / STEP)
    steps = range(max(low, edge - reach), min(high, edge + reach) + 1)
    return min(steps, key=lambda step: (powers[min(len(powers) - 1, step + shift - 1)], abs(step - edge)))
