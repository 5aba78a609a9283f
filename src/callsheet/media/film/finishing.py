"""What a film takes beside the encoding of its picture: the sound in one piece, and the joining of both."""

from collections.abc import Callable
from pathlib import Path

from callsheet.media import codecs
from callsheet.media.film import sound
from callsheet.media.film.compiling import Work, time_scale
from callsheet.media.film.film import Container, Film, Made, expected
from callsheet.media.film.segments import stem_of
from callsheet.media.inputs import file_url, media_input
from callsheet.media.loudness import LOSSLESS, Target, level, read_meter
from callsheet.media.probe import Footage
from callsheet.media.runner import FFmpeg
from callsheet.media.verify import check_whole, verified

_INDEX = "segments.txt"


async def keep_picture(
    film: Film, source: Footage, ffmpeg: FFmpeg, folder: Path, tell: Callable[[float], None]
) -> Made:
    """Make a film whose picture is taken over from its only source as it is, and check it; only the sound is made.

    Raises MediaFailed as `make` does.
    """
    audio = await make_sound(film, ffmpeg, folder)
    tell(0.5)
    output = folder / f"film.{film.container.format}"
    words = [*media_input(source.path), *([] if audio is None else media_input(audio)), "-map", "0:v:0", "-c:v", "copy"]
    words += [] if audio is None else ["-map", "1:a:0"]
    report = await ffmpeg.run([*words, *finishing_words(film, "h264", audio), file_url(output)])
    check_whole(report.stderr, source.path.name)
    await verified(output, expected(film))
    return Made(output, ())


def finishing_words(film: Film, codec: codecs.VideoCodec, audio: Path | None) -> list[str]:
    """Return the words for the sound and the container of the finished film."""
    container = film.container
    words = [] if audio is None else _sound_words(container)
    words += codecs.container_words(container.format, codec)
    if container.format in ("mp4", "mov"):
        words += ["-video_track_timescale", str(time_scale(film.canvas.rate))]
    return words


def _sound_words(container: Container) -> list[str]:
    return [*codecs.audio_words(container.sound, container.sound_bitrate), "-ac", "2"]


async def make_sound(film: Film, ffmpeg: FFmpeg, folder: Path) -> Path | None:
    """Make the whole sound of a film, lossless and at its level; None when it has none."""
    if not film.has_sound:
        return None
    log = ""
    steps = sound.steps(film.plan, film.sounds, folder)
    for step in steps:
        report = await ffmpeg.run(step.arguments, verbosity="info", cwd=folder)
        log = report.stderr
    mix = steps[-1].output
    if film.level is None:
        return mix
    if isinstance(film.level, Target):
        encoding = _sound_words(film.container)
        return await level(ffmpeg, mix, read_meter(log), film.level, folder / "level.w64", encoding)
    output = folder / "level.w64"
    await ffmpeg.run(filtering_words(film, mix, film.level, output))
    return output


def filtering_words(film: Film, path: Path, filters: str, output: Path) -> list[str]:
    """Return the words that write sound through filters that somebody gave, as long as it was before."""
    length = sound.samples(film.plan.frames, film.plan.rate)
    # Some filters leave another rate behind, and older builds of FFmpeg do not find the way back by aresample.
    usual = f"aformat=sample_rates={sound.RATE}:channel_layouts=stereo"
    whole = f"{usual},apad=whole_len={length},atrim=end_sample={length}"
    return ["-i", file_url(path), "-map", "0:a:0", "-af", f"{filters},{whole}", *LOSSLESS, file_url(output)]


def joining(film: Film, codec: codecs.VideoCodec, count: int, audio: Path | None, output: Path) -> Work:
    """Return what joins so many segments, encodes the sound, and finishes the film."""
    names = "".join(f"file {stem_of(number)}.mp4\n" for number in range(count))
    words = ["-f", "concat", "-safe", "1", "-i", file_url(Path(_INDEX))]
    words += [] if audio is None else media_input(audio)
    words += ["-map", "0:v:0", "-c:v", "copy"]
    words += [] if audio is None else ["-map", "1:a:0"]
    words += [*finishing_words(film, codec, audio), file_url(output)]
    return Work(words, {_INDEX: f"ffconcat version 1.0\n{names}"})
