"""The last step of a film: its picture and its sound are copied into one file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from callsheet.media.encoding import codecs
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.output_checks import check_stderr, verify_video
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.audio_track import encode_audio_track
from callsheet.media.rendering.render_plan import RenderedFilm, RenderPlan, expected_output
from callsheet.media.rendering.segment_commands import FFmpegCommand, time_scale
from callsheet.media.rendering.segments import stem_of

_INDEX = "segments.txt"


def final_mux_args(
    film: RenderPlan, codec: codecs.VideoCodec, count: int, audio: Path | None, output: Path
) -> FFmpegCommand:
    """Return what joins so many segments and the finished sound."""
    names = "".join(f"file {stem_of(number)}.mp4\n" for number in range(count))
    picture = ["-f", "concat", "-safe", "1", "-i", file_url(Path(_INDEX))]
    return FFmpegCommand(_together(film, codec, picture, audio, output), {_INDEX: f"ffconcat version 1.0\n{names}"})


async def keep_picture(
    film: RenderPlan, source: MediaInfo, ffmpeg: FFmpeg, folder: Path, tell: Callable[[float], None]
) -> RenderedFilm:
    """Make a film whose picture is taken over from its only source as it is, and check it; only the sound is made.

    Raises FFmpegFailed as `make` does.
    """
    audio = await encode_audio_track(film, ffmpeg, folder) if film.has_sound else None
    tell(0.5)
    output = folder / f"film.{film.container.format}"
    report = await ffmpeg.run(_together(film, "h264", media_input(source.path), audio, output))
    check_stderr(report.stderr, source.path.name)
    await verify_video(output, expected_output(film))
    return RenderedFilm(output, ())


def _together(
    film: RenderPlan, codec: codecs.VideoCodec, picture: Sequence[str], audio: Path | None, output: Path
) -> list[str]:
    """Return the words that copy a picture and a sound into one film."""
    words = [*picture, *([] if audio is None else media_input(audio)), "-map", "0:v:0"]
    words += [] if audio is None else ["-map", "1:a:0"]
    words += ["-c", "copy", *codecs.container_args(film.container.format, codec)]
    if film.container.format in ("mp4", "mov"):
        words += ["-video_track_timescale", str(time_scale(film.canvas.rate))]
    return [*words, file_url(output)]
