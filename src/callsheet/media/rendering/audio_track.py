"""The audio track of a video: mixed, normalized in loudness and encoded."""

from pathlib import Path

from callsheet.media.encoding.audio_encode import encode_audio
from callsheet.media.encoding.codecs import audio_args
from callsheet.media.encoding.loudness import NormalizedAudio, Target, normalize, read_meter
from callsheet.media.encoding.pcm import LOSSLESS_ARGS, SAMPLE_RATE
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.rendering.audio_mix import mix_steps
from callsheet.media.rendering.audio_placement import frame_to_sample
from callsheet.media.rendering.render_plan import ContainerSettings, RenderPlan


async def encode_audio_track(plan: RenderPlan, ffmpeg: FFmpeg, folder: Path) -> NormalizedAudio:
    """Mix and encode the audio of a plan that has audio. The encoded file is in `folder`."""
    log, encode_args = "", audio_track_args(plan.container)
    steps = mix_steps(plan.schedule, plan.audio, folder)
    for step in steps:
        report = await ffmpeg.run(step.args, verbosity="info", cwd=folder)
        log = report.stderr
    mix, normalized = steps[-1].output, folder / "level.w64"
    if isinstance(plan.loudness, Target):
        return await normalize(ffmpeg, mix, read_meter(log), plan.loudness, normalized, encode_args)
    if plan.loudness is not None:
        await ffmpeg.run(audio_filter_args(plan, mix, plan.loudness, normalized))
        mix = normalized
    return NormalizedAudio(await encode_audio(ffmpeg, mix, encode_args))


def audio_track_args(container: ContainerSettings) -> list[str]:
    """Return the FFmpeg args that encode the audio for a container."""
    return [*audio_args(container.audio_codec, container.audio_bitrate), "-ac", "2"]


def audio_filter_args(plan: RenderPlan, path: Path, filters: str, output: Path) -> list[str]:
    """Return the FFmpeg args that apply the client's audio filters and keep the original duration."""
    length = frame_to_sample(plan.schedule.frames, plan.schedule.rate)
    # Some filters change the sample rate, and in older builds of FFmpeg aresample does not restore it.
    layout = f"aformat=sample_rates={SAMPLE_RATE}:channel_layouts=stereo"
    exact = f"{layout},apad=whole_len={length},atrim=end_sample={length}"
    return ["-i", file_url(path), "-map", "0:a:0", "-af", f"{filters},{exact}", *LOSSLESS_ARGS, file_url(output)]
