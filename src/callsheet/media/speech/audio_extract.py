"""Extraction of the audio for speech recognition."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callsheet.media.encoding.downmix import mono_filters
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import audio_stream
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.speech.contract import SAMPLE_RATE
from callsheet.processes.child import ProcessLimits

_MAX_SECONDS = 24 * 3600
_BYTES_PER_SECOND = 2 * SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ExtractedSpeech:
    """The extracted audio."""

    seconds: float
    notes: tuple[str, ...]
    """What was not kept of its channels, and what was damaged."""


async def extract_speech(
    ffmpeg: FFmpeg, source: MediaInfo, output: Path, *, on_progress: Callable[[float], None] | None = None
) -> ExtractedSpeech:
    """Write the audio of a file as a WAV file for `TranscriptionRequest`.

    Second 0 of the audio is second 0 of the video, even if the audio stream begins later.

    Raises the errors of `FFmpeg.run`, and FFmpegFailed if the audio is damaged and the source strict.
    """
    graph = FilterGraph()
    downmix, notes = await mono_filters(ffmpeg, source, source.audio)
    # Silence fills gaps and the time before the first sample. Without it, all words would be too early.
    stream = graph.add("aresample", audio_stream(source), sample_rate=SAMPLE_RATE, async_=1, first_pts=0)
    stream = graph.chain(stream, *downmix)
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
    damage = check_stderr(report.stderr, f"'{source.path.name}'", strict=source.strict)
    return ExtractedSpeech(report.seconds, (*notes, *damage))
