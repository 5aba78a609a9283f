"""Downmix of channel layouts that FFmpeg's own conversion does not hear completely."""

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache

from av.audio.layout import AudioLayout

from callsheet.media.ffmpeg.filter_graph import Options
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream

Filter = tuple[str, Options]

_LEFT = frozenset(["FL", "FLC", "SL", "BL", "TFL", "TBL", "TSL", "WL", "BFL", "SDL", "BIL", "DL"])
_RIGHT = frozenset(["FR", "FRC", "SR", "BR", "TFR", "TBR", "TSR", "WR", "BFR", "SDR", "BIR", "DR"])
_CENTER = frozenset(["FC", "BC", "TC", "TFC", "TBC", "BFC"])
_CONVERTED = frozenset(["FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "DL", "DR"])
"""Channels that FFmpeg's conversion mixes. It drops the others."""
_CENTER_GAIN = 0.707
_GUESSED_CHANNELS = 8
"""Up to this number of channels without a layout, FFmpeg assumes the usual layout."""
_MEASURED_SECONDS = 300.0
_OPPOSITE = 12.0
"""Decibels by which the difference of both channels exceeds their sum if one of them has the opposite polarity."""
_RMS_LEVEL = re.compile(r"RMS level dB: (-?[\d.]{1,20}|-inf)")


def downmix_filters(layout: str | None) -> list[Filter]:
    """Return the filters that mix a layout, by FFmpeg's name, to stereo. Empty if FFmpeg converts it well."""
    if layout is None:
        return []
    if layout.startswith("ambisonic"):
        # The first channel is the sound from all directions; the others say where it comes from.
        return [("pan", {"args": "stereo|c0=c0|c1=c0"})]
    names = _channel_names(layout)
    if "NONE" in names:
        every = "+".join(f"c{number}" for number in range(len(names)))
        return [("pan", {"args": f"stereo|c0<{every}|c1<{every}"})] if len(names) > _GUESSED_CHANNELS else []
    if _CONVERTED.issuperset(names):
        return []
    return [("pan", {"args": f"stereo|c0<{_sum(names, _LEFT)}|c1<{_sum(names, _RIGHT)}"})]


def filter_text(filters: Sequence[Filter]) -> str:
    """Return filters as text for FFmpeg's option `-af`, each one followed by a comma."""
    return "".join(
        f"{name}={':'.join(f'{key}={value}' for key, value in options.items())}," for name, options in filters
    )


def downmix_notes(name: str, layout: str | None) -> Iterator[str]:
    """Yield what is not kept of the layout of a file called `name`."""
    if layout is not None and layout.startswith("ambisonic"):
        yield f"the audio of '{name}' is ambisonic: only its first channel, the sound from all directions, was used"
    elif downmix_filters(layout):
        yield f"the {len(_channel_names(layout or ''))} channels of '{name}' were mixed to two"


@cache
def _channel_names(layout: str) -> tuple[str, ...]:
    try:
        return tuple(channel.name for channel in AudioLayout(layout).channels)
    except ValueError:  # a layout that only another version of FFmpeg knows
        return ()


def _sum(names: Sequence[str], side: frozenset[str]) -> str:
    gains = [f"c{n}" for n, name in enumerate(names) if name in side]
    gains += [f"{_CENTER_GAIN}*c{n}" for n, name in enumerate(names) if name in _CENTER]
    return "+".join(gains) or "c0"


async def mono_filters(ffmpeg: FFmpeg, source: MediaInfo, stream: Stream) -> tuple[list[Filter], list[str]]:
    """Return the filters that mix an audio stream to mono, and notes.

    Stereo whose channels have opposite polarity, as by a wrongly wired microphone, would cancel out. It is recognized
    by measuring, and the channels are subtracted instead. Raises the errors of `FFmpeg.run`.
    """
    name = source.path.name
    if stream.channels != 2:
        return [*downmix_filters(stream.channel_layout), _aformat("mono")], [
            *downmix_notes(name, stream.channel_layout)
        ]
    if await _is_opposite(ffmpeg, source, stream):
        note = f"the channels of '{name}' have opposite polarity, and were subtracted, since their sum is nearly silent"
        return [("pan", {"args": "mono|c0=0.5*c0-0.5*c1"})], [note]
    return [("pan", {"args": "mono|c0=0.5*c0+0.5*c1"})], []


async def _is_opposite(ffmpeg: FFmpeg, source: MediaInfo, stream: Stream) -> bool:
    measure = "pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1,astats=measure_overall=none:measure_perchannel=RMS_level"
    args = [*media_input(source.path, length=_MEASURED_SECONDS), "-map", f"0:{stream.index}", "-af", measure]
    report = await ffmpeg.run([*args, "-f", "null", "-"], verbosity="info")
    levels = [float(level) for level in _RMS_LEVEL.findall(report.stderr)]
    if len(levels) < 2:
        return False
    middle, difference = levels[:2]
    return math.isfinite(difference) and difference - middle > _OPPOSITE


def _aformat(layout: str) -> Filter:
    return "aformat", {"channel_layouts": layout}
