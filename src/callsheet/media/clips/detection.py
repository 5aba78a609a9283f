"""Detect silences and scene changes, as places to split a file."""

import re

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import audio_stream, picture_input, picture_stream, source_frames
from callsheet.media.probing.probe import MediaInfo

_TIMEOUT = 24 * 3600.0
"""Seconds."""
_LONG_SIDE = 320
"""Pixels. Scene detection is as accurate on small frames."""


async def detect_silences(
    ffmpeg: FFmpeg, source: MediaInfo, threshold: float, seconds: float
) -> list[tuple[float, float]]:
    """Return start and end, in seconds, of each range quieter than `threshold` dBFS for at least `seconds`."""
    graph = FilterGraph()
    audio = graph.add("silencedetect", audio_stream(source), noise=f"{threshold}dB", d=seconds)
    metadata = await _print_metadata(ffmpeg, source, graph, graph.add("ametadata", audio, mode="print", file="-"))
    starts = [float(start) for start in re.findall(r"silence_start=(-?[\d.]+)", metadata)]
    ends = [float(end) for end in re.findall(r"silence_end=(-?[\d.]+)", metadata)]
    # FFmpeg reports no end for a silence that lasts to the end of the file: it is left out.
    return list(zip(starts, ends, strict=False))


async def detect_scene_changes(ffmpeg: FFmpeg, source: MediaInfo, threshold: float) -> list[float]:
    """Return the start of each new scene, in seconds. `threshold` is FFmpeg's scene score, from 0 to 1."""
    graph = FilterGraph()
    width, height = _scaled_size(source)
    small = graph.add("scale", source_frames(graph, picture_stream(source), source), w=width, h=height)
    selected = graph.add("select", small, expr=f"gt(scene,{threshold:.4f})")
    metadata = await _print_metadata(ffmpeg, source, graph, graph.add("metadata", selected, mode="print", file="-"))
    return [float(time) for time in re.findall(r"pts_time:(-?[\d.]+)", metadata)]


def _scaled_size(source: MediaInfo) -> tuple[int, int]:
    width, height = source.probe.width or _LONG_SIDE, source.probe.height or _LONG_SIDE
    factor = _LONG_SIDE / max(width, height)
    return max(2, round(width * factor)), max(2, round(height * factor))


async def _print_metadata(ffmpeg: FFmpeg, source: MediaInfo, graph: FilterGraph, output: str) -> str:
    args = [*picture_input(source), "-filter_complex", str(graph), "-map", f"[{output}]", "-f", "null", "-"]
    return (await ffmpeg.capture(args, timeout=_TIMEOUT)).stdout.decode("ascii", "replace")
