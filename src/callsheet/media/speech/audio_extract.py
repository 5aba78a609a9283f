"""The sound of a file as speech engines want it."""

from collections.abc import Callable
from pathlib import Path

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.speech.contract import SAMPLE_RATE
from callsheet.processes.child import ProcessLimits

_LONGEST = 24 * 3600
_BYTES_PER_SECOND = 2 * SAMPLE_RATE


async def extract_speech(
    ffmpeg: FFmpeg, source: MediaInfo, output: Path, *, on_progress: Callable[[float], None] | None = None
) -> float:
    """Write the first sound track of a file as `Wish.sound`, and return its length in seconds.

    Second 0 of it is second 0 of the film, however late the track begins. Raises as FFmpeg's `run` does, and
    FFmpegFailed when the track is not whole.
    """
    graph = FilterGraph()
    # Gaps, and what is missing before the first sample, are filled with silence; otherwise all words come too early.
    stream = graph.add("aresample", "0:a:0", sample_rate=SAMPLE_RATE, async_=1, first_pts=0)
    stream = graph.add("aformat", stream, sample_fmts="s16", channel_layouts="mono")
    arguments = [
        *media_input(source.path),
        *("-filter_complex", str(graph), "-map", f"[{stream}]"),
        *("-c:a", "pcm_s16le", "-bitexact", "-f", "wav", file_url(output)),
    ]
    report = await ffmpeg.run(
        arguments,
        duration=source.probe.duration,
        on_progress=on_progress,
        limits=ProcessLimits(file_bytes=_LONGEST * _BYTES_PER_SECOND),
    )
    check_stderr(report.stderr, f"'{source.path.name}'")
    return report.seconds
