"""The last step of a render: the video stream and the audio track are copied into one file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from callsheet.media.encoding import codecs
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import picture_stream
from callsheet.media.probing.output_checks import check_stderr, verify_video
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.audio_track import encode_audio_track
from callsheet.media.rendering.render_plan import RenderedVideo, RenderPlan, expected_output
from callsheet.media.rendering.segment_commands import FFmpegCommand, timescale
from callsheet.media.rendering.segments import segment_stem

_SEGMENT_LIST = "segments.txt"


def final_mux_args(
    plan: RenderPlan, codec: codecs.VideoCodec, count: int, audio: Path | None, output: Path
) -> FFmpegCommand:
    """Return the command that joins `count` segments and muxes them with the encoded audio."""
    names = "".join(f"file {segment_stem(number)}.mp4\n" for number in range(count))
    video_input = ["-f", "concat", "-safe", "1", "-i", file_url(Path(_SEGMENT_LIST))]
    args = _mux_args(plan, codec, video_input, "0:v:0", audio, output)
    return FFmpegCommand(args, {_SEGMENT_LIST: f"ffconcat version 1.0\n{names}"})


async def render_with_copied_video(
    plan: RenderPlan, source: MediaInfo, ffmpeg: FFmpeg, folder: Path, on_progress: Callable[[float], None]
) -> RenderedVideo:
    """Render a plan whose H.264 video stream is copied from its only source. Only the audio is encoded.

    The output is verified. Raises FFmpegFailed when the source is incomplete or the output is not as planned.
    """
    audio = await encode_audio_track(plan, ffmpeg, folder) if plan.has_audio else None
    on_progress(0.5)
    output = folder / f"film.{plan.container.format}"
    path = audio.path if audio is not None else None
    report = await ffmpeg.run(_mux_args(plan, "h264", media_input(source.path), picture_stream(source), path, output))
    damage = check_stderr(report.stderr, f"'{source.path.name}'", strict=source.strict)
    await verify_video(output, expected_output(plan))
    return RenderedVideo(output, (*damage, *((audio.note,) if audio is not None and audio.note is not None else ())))


def _mux_args(
    plan: RenderPlan,
    codec: codecs.VideoCodec,
    video_input: Sequence[str],
    video: str,
    audio: Path | None,
    output: Path,
) -> list[str]:
    """Return the FFmpeg args that copy a video stream and an audio stream into one file."""
    args = [*video_input, *([] if audio is None else media_input(audio)), "-map", video]
    args += [] if audio is None else ["-map", "1:a:0"]
    args += ["-c", "copy", *codecs.container_args(plan.container.format, codec)]
    if plan.container.format in ("mp4", "mov"):
        args += ["-video_track_timescale", str(timescale(plan.canvas.rate))]
    return [*args, file_url(output)]
