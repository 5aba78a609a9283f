"""Extraction of the audio for speech recognition."""

from collections.abc import Callable
from pathlib import Path

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.speech.contract import SAMPLE_RATE
from callsheet.processes.child import ProcessLimits

_MAX_SECONDS = 24 * 3600
_BYTES_PER_SECOND = 2 * SAMPLE_RATE


async def extract_speech(
    ffmpeg: FFmpeg, source: MediaInfo, output: Path, *, on_progress: Callable[[float], None] | None = None
) -> float:
    """Write the first audio stream of a file as a WAV file for `TranscriptionRequest`; return its duration in seconds.

    Second 0 of the audio is second 0 of the video, even if the audio stream begins later.

    Raises the errors of `FFmpeg.run`, and FFmpegFailed if the audio is truncated or damaged.
    """
    graph = FilterGraph()
    # Silence fills gaps and the time before the first sample. Without it, all words would be too early.
    stream = graph.add("aresample", "0:a:0", sample_rate=SAMPLE_RATE, async_=1, first_pts=0)
    stream = graph.add("aformat", stream, sample_fmts="s16", channel_layouts="mono")
    args = [
        *media_input(source.path),
        *("-filter_complex", str(graph), "-map", f"[{stream}]"),
        *("-c:a", "pcm_s16le", "-bitexact", "-f", "wav", file_url(output)),
    ]
    report = await ffmpeg.run(
        args,
        duration=source.probe.duration,
        on_progress=on_progress,
        limits=ProcessLimits(file_bytes=_MAX_SECONDS * _BYTES_PER_SECOND),
    )
    check_stderr(report.stderr, f"'{source.path.name}'")
    return report.seconds
