"""Moments in a file at which it can well be cut."""

import re

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import MediaInfo

_ALL_DAY = 24 * 3600.0
_LONG_SIDE = 320
"""Pixels; scenes are told apart by small pictures just as well."""


async def detect_silences(
    ffmpeg: FFmpeg, source: MediaInfo, threshold: float, seconds: float
) -> list[tuple[float, float]]:
    """Return beginning and end, in seconds, of what is quieter than `threshold` dBFS for so many seconds."""
    graph = FilterGraph()
    heard = graph.add("silencedetect", f"0:{source.audio_streams[0].index}", noise=f"{threshold}dB", d=seconds)
    told = await _told(ffmpeg, source, graph, graph.add("ametadata", heard, mode="print", file="-"))
    starts = [float(start) for start in re.findall(r"silence_start=(-?[\d.]+)", told)]
    ends = [float(end) for end in re.findall(r"silence_end=(-?[\d.]+)", told)]
    # Silence that lasts to the end of the file does not end.
    return list(zip(starts, ends, strict=False))


async def detect_scene_changes(ffmpeg: FFmpeg, source: MediaInfo, threshold: float) -> list[float]:
    """Return when another scene begins, in seconds; `threshold` is the share of the picture that changes."""
    graph = FilterGraph()
    width, height = _small(source)
    small = graph.add("scale", f"0:{source.video_index}", w=width, h=height)
    chosen = graph.add("select", small, expr=f"gt(scene,{threshold:.4f})")
    told = await _told(ffmpeg, source, graph, graph.add("metadata", chosen, mode="print", file="-"))
    return [float(time) for time in re.findall(r"pts_time:(-?[\d.]+)", told)]


def _small(source: MediaInfo) -> tuple[int, int]:
    width, height = source.probe.width or _LONG_SIDE, source.probe.height or _LONG_SIDE
    share = _LONG_SIDE / max(width, height)
    return max(2, round(width * share)), max(2, round(height * share))


async def _told(ffmpeg: FFmpeg, source: MediaInfo, graph: FilterGraph, output: str) -> str:
    words = [*media_input(source.path), "-filter_complex", str(graph), "-map", f"[{output}]", "-f", "null", "-"]
    return (await ffmpeg.capture(words, timeout=_ALL_DAY)).stdout.decode("ascii", "replace")
