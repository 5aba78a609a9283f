"""The finished sound of a film: mixed in one piece, brought to its level, encoded."""

from pathlib import Path

from callsheet.media.encoding.audio_encode import encoded
from callsheet.media.encoding.codecs import audio_words
from callsheet.media.encoding.loudness import LOSSLESS, Target, level, read_meter
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.render_plan import Container, Film


async def make_track(film: Film, ffmpeg: FFmpeg, folder: Path) -> Path:
    """Make the whole sound of a film that has any, at its level and encoded."""
    log, encoding = "", sound_words(film.container)
    steps = audio_mix.steps(film.plan, film.sounds, folder)
    for step in steps:
        report = await ffmpeg.run(step.arguments, verbosity="info", cwd=folder)
        log = report.stderr
    mix, levelled = steps[-1].output, folder / "level.w64"
    if isinstance(film.level, Target):
        return await level(ffmpeg, mix, read_meter(log), film.level, levelled, encoding)
    if film.level is not None:
        await ffmpeg.run(filtering_words(film, mix, film.level, levelled))
        mix = levelled
    return await encoded(ffmpeg, mix, encoding)


def sound_words(container: Container) -> list[str]:
    """Return the words that encode the sound for a container."""
    return [*audio_words(container.sound, container.sound_bitrate), "-ac", "2"]


def filtering_words(film: Film, path: Path, filters: str, output: Path) -> list[str]:
    """Return the words that write sound through filters that somebody gave, as long as it was before."""
    length = audio_mix.samples(film.plan.frames, film.plan.rate)
    # Some filters leave another rate behind, and older builds of FFmpeg do not find the way back by aresample.
    usual = f"aformat=sample_rates={audio_mix.RATE}:channel_layouts=stereo"
    whole = f"{usual},apad=whole_len={length},atrim=end_sample={length}"
    return ["-i", file_url(path), "-map", "0:a:0", "-af", f"{filters},{whole}", *LOSSLESS, file_url(output)]
