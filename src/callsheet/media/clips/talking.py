"""Joins the frames of a talking head with the audio that it was made from, in exactly the length of the audio."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.media.clips.mux import AudioInput, MuxCommand, TrackTags
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.stream_copy_rules import accepts_audio_codec
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.scaling import flatten_alpha
from callsheet.media.filters.source_frames import picture_input, picture_stream, source_frames
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.output_checks import check_stderr, frame_count_problems, raise_on_problems
from callsheet.media.probing.probe import MediaInfo, probe_details

_BACKGROUND = "#000000"
"""What is seen through transparent video."""


@dataclass(frozen=True, slots=True)
class TalkingClip:
    """A finished clip."""

    path: Path
    audio_copied: bool
    """Whether the audio stream is the one of the source, bit by bit."""
    made_frames: int
    """Frames of the video before it was brought to its length."""


async def join_talking_clip(
    ffmpeg: FFmpeg,
    video: MediaInfo,
    audio: MediaInfo,
    *,
    frames: int,
    rate: Fraction,
    encoder: Encoder,
    format: Format,
    folder: Path,
    on_progress: Callable[[float], None],
) -> TalkingClip:
    """Write a clip of exactly `frames` frames at `rate` with the first audio stream of `audio`.

    A video of this length is copied without encoding; otherwise the last frame is repeated, or frames at the end are
    cut off. The audio is copied if the container accepts its codec. Raises FFmpegFailed.
    """
    made = len(await read_frame_index(ffmpeg, video))
    if made != frames or video.rate != rate:
        video = await _with_length(ffmpeg, video, frames, rate, encoder, folder / "frames.mp4")
    stream = audio.audio
    copied = accepts_audio_codec(format, stream.codec)
    track = AudioInput(audio, stream, TrackTags(default=True), from_video=False, stream_copy=copied)
    # The last frame may end up to half a frame before the audio does.
    seconds = max(float(frames / rate), track.end)
    output = folder / f"talk.{format}"
    command = MuxCommand(video, format, [track], [], seconds)
    report = await ffmpeg.run(command.args(output), duration=seconds, on_progress=on_progress, cwd=folder)
    check_stderr(report.stderr, f"'{audio.path.name}'", strict=audio.strict)
    found = await probe_details(output)
    problems = list(frame_count_problems(len(await read_frame_index(ffmpeg, found)), frames))
    raise_on_problems("the output", [*problems, *([] if found.has_audio else ["no audio"])])
    return TalkingClip(output, copied, made)


async def _with_length(
    ffmpeg: FFmpeg, video: MediaInfo, frames: int, rate: Fraction, encoder: Encoder, output: Path
) -> MediaInfo:
    graph, device = FilterGraph(), encoder.device_args
    stream = source_frames(graph, picture_stream(video), video)
    stream = flatten_alpha(graph, stream, video, _BACKGROUND)
    stream = graph.add("setpts", stream, expr="PTS-STARTPTS")
    stream = graph.add("fps", stream, fps=str(rate))
    stream = graph.add("tpad", stream, stop=frames, stop_mode="clone")
    stream = graph.add("trim", stream, end_frame=frames)
    stream = graph.chain(stream, *encoder.last_filters)
    args = [
        *device,
        *picture_input(video),
        *("-filter_complex", str(graph), "-map", f"[{stream}]"),
        *encoder.args(rate=rate, threads=ffmpeg.threads),
        *("-an", file_url(output)),
    ]
    await ffmpeg.run(args, duration=float(frames / rate))
    return await probe_details(output)
