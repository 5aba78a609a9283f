"""The finished sound of a film: mixed in one piece, brought to its level, encoded."""

from pathlib import Path

from callsheet.media.encoding.audio_encode import encode_audio
from callsheet.media.encoding.codecs import audio_args
from callsheet.media.encoding.loudness import Target, normalize, read_meter
from callsheet.media.encoding.pcm import LOSSLESS_ARGS
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.render_plan import Container, RenderPlan


async def encode_audio_track(film: RenderPlan, ffmpeg: FFmpeg, folder: Path) -> Path:
    """Make the whole sound of a film that has any, at its level and encoded."""
    log, encoding = "", audio_track_args(film.container)
    steps = audio_mix.steps(film.plan, film.sounds, folder)
    for step in steps:
        report = await ffmpeg.run(step.arguments, verbosity="info", cwd=folder)
        log = report.stderr
    mix, levelled = steps[-1].output, folder / "level.w64"
    if isinstance(film.level, Target):
        return await normalize(ffmpeg, mix, read_meter(log), film.level, levelled, encoding)
    if film.level is not None:
        await ffmpeg.run(audio_filter_args(film, mix, film.level, levelled))
        mix = levelled
    return await encode_audio(ffmpeg, mix, encoding)


def audio_track_args(container: Container) -> list[str]:
    """Return the words that encode the sound for a container."""
    return [*audio_args(container.sound, container.sound_bitrate), "-ac", "2"]


def audio_filter_args(film: RenderPlan, path: Path, filters: str, output: Path) -> list[str]:
    """Return the words that write sound through filters that somebody gave, as long as it was before."""
    length = audio_mix.samples(film.plan.frames, film.plan.rate)
    # Some filters leave another rate behind, and older builds of FFmpeg do not find the way back by aresample.
    usual = f"aformat=sample_rates={audio_mix.RATE}:channel_layouts=stereo"
    whole = f"{usual},apad=whole_len={length},atrim=end_sample={length}"
    return ["-i", file_url(path), "-map", "0:a:0", "-af", f"{filters},{whole}", *LOSSLESS_ARGS, file_url(output)]
