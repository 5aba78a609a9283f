"""Dry run of a render: its segments and the FFmpeg command of each step, without running them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from callsheet.domain.model import Model
from callsheet.media.encoding.audio_encode import encode_audio_args, encoded_audio_path
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.loudness import Target
from callsheet.media.encoding.pcm import SAMPLE_RATE
from callsheet.media.fonts import FONTCONFIG
from callsheet.media.rendering.audio_mix import mix_steps
from callsheet.media.rendering.audio_placement import AudioPlacement
from callsheet.media.rendering.audio_track import audio_filter_args, audio_track_args
from callsheet.media.rendering.final_mux import final_mux_args
from callsheet.media.rendering.layers import AssScript, Layer, TextLayer, is_visible
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.renderer import segment_command
from callsheet.media.rendering.segments import Segment, group_segments, split_segments

_MIX = Path("mix.w64")
_FILTERED = Path("level.w64")


class ExplainedSegment(Model):
    """One segment of the video."""

    number: int
    start_frame: int
    frames: int
    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")
    scenes: list[str]
    overlays: list[str] = Field(description="Overlays, texts and captions above the scenes; the last one is on top")
    copied: bool = Field(description="Whether the video stream is copied from its source without an encode")


class ExplainedCommand(Model):
    """One FFmpeg command. The commands run one after another in one folder."""

    purpose: str = Field(description="What the command does")
    arguments: list[str] = Field(description="The whole command line")
    environment: dict[str, str] = Field(default_factory=dict)
    scripts: dict[str, str] = Field(
        default_factory=dict, description="Contents of the files that the command reads from the folder, by name"
    )


class Explanation(Model):
    """A render that has not run."""

    duration: float = Field(description="Seconds")
    frames: int
    frames_to_encode: int = Field(description="Frames to encode if no segment is cached")
    width: int
    height: int
    fps: str = Field(examples=["30", "30000/1001"])
    format: str
    video_codec: str
    encoder: str = Field(examples=["libx264"])
    audio_codec: str | None = Field(description="Null for a video without audio")
    audio: list[str] = Field(description="Sources of the audio mix")
    loudness: str | None = Field(description="Loudness normalization or audio filter; null: the audio is unchanged")
    segments: list[ExplainedSegment]
    commands: list[ExplainedCommand]
    notes: list[str] = Field(description="Deviations from the request, and steps that the commands leave out")


def explain(plan: RenderPlan, encoder: Encoder, notes: Sequence[str], binary: Path, threads: int) -> Explanation:
    """Return the segments and commands of a render, without running them."""
    segments = split_segments(plan.schedule, unsplit=plan.copied_shots)
    explained = [_explain_segment(number, segment, plan) for number, segment in enumerate(segments)]
    commands = [
        *_segment_commands(plan, segments, encoder, threads),
        *(_audio_commands(plan) if plan.has_audio else ()),
        _mux_command(plan, encoder, len(segments)),
    ]
    return Explanation(
        duration=round(plan.schedule.seconds, 6),
        frames=plan.schedule.frames,
        frames_to_encode=sum(segment.frames for segment in explained if not segment.copied),
        width=plan.canvas.width,
        height=plan.canvas.height,
        fps=str(plan.canvas.rate),
        format=plan.container.format,
        video_codec=encoder.codec,
        encoder=encoder.name,
        audio_codec=plan.container.audio_codec if plan.has_audio else None,
        audio=[*_audio_sources(plan)] if plan.has_audio else [],
        loudness=_loudness(plan),
        segments=explained,
        commands=[_full_command(command, binary, threads) for command in commands],
        notes=[*notes, *_omissions(plan)],
    )


def _explain_segment(number: int, segment: Segment, plan: RenderPlan) -> ExplainedSegment:
    schedule = plan.schedule
    visible = (layer for layer in plan.layers if is_visible(layer, segment.start, segment.end, schedule.rate))
    return ExplainedSegment(
        number=number,
        start_frame=segment.start,
        frames=segment.frames,
        start=round(schedule.time_of(segment.start), 6),
        end=round(schedule.time_of(segment.end), 6),
        scenes=[shot.label for shot in segment.shots],
        overlays=[_layer_label(layer, segment, plan) for layer in visible],
        copied=plan.is_copied(segment),
    )


def _layer_label(layer: Layer, segment: Segment, plan: RenderPlan) -> str:
    if isinstance(layer, OverlayPlacement):
        return layer.field
    if isinstance(layer, AssScript):
        return "captions"
    rate = plan.schedule.rate
    lines = [line for line in layer.lines if is_visible(TextLayer((line,)), segment.start, segment.end, rate)]
    return "1 text" if len(lines) == 1 else f"{len(lines)} texts"


def _audio_sources(plan: RenderPlan) -> Iterator[str]:
    yield from (shot.label for shot in plan.schedule.shots if shot.has_audio)
    yield from (_audio_label(placement) for placement in plan.audio)


def _audio_label(placement: AudioPlacement) -> str:
    start, end = placement.start / SAMPLE_RATE, placement.end / SAMPLE_RATE
    label = f"{placement.path.name} from {start:.2f} to {end:.2f} s"
    return label + (", looped" if placement.loop else "") + (", ducked" if placement.duck else "")


def _loudness(plan: RenderPlan) -> str | None:
    if not plan.has_audio or plan.loudness is None:
        return None
    if isinstance(plan.loudness, Target):
        target = plan.loudness
        return f"normalized to {target.integrated:g} LUFS, true peak at most {target.true_peak:g} dBTP"
    return f"the filter {plan.loudness}"


def _omissions(plan: RenderPlan) -> Iterator[str]:
    if plan.has_audio and isinstance(plan.loudness, Target):
        yield "the commands do not normalize the loudness: gain and limiter depend on a measurement of the mix"
    if any(isinstance(layer, AssScript) for layer in plan.layers):
        yield "the commands also read the captions from an ASS script in the folder"


def _segment_commands(
    plan: RenderPlan, segments: Sequence[Segment], encoder: Encoder, threads: int
) -> Iterator[ExplainedCommand]:
    for run in group_segments(range(len(segments)), segments):
        command = segment_command(plan, encoder, segments, run, threads)
        verb = "copy" if plan.is_copied(segments[run[0]]) else "encode"
        labels = " and ".join(f"segment {number}" for number in run)
        yield ExplainedCommand(purpose=f"{verb} {labels}", arguments=command.args, scripts=command.scripts)


def _audio_commands(plan: RenderPlan) -> Iterator[ExplainedCommand]:
    steps = mix_steps(plan.schedule, plan.audio, Path())
    for number, step in enumerate(steps, 1):
        purpose = "mix the audio" if number == len(steps) else f"mix a part of the audio: {step.output.stem}"
        yield ExplainedCommand(purpose=purpose, arguments=step.args)
    if isinstance(plan.loudness, str):
        args = audio_filter_args(plan, _MIX, plan.loudness, _FILTERED)
        yield ExplainedCommand(purpose="apply the audio filter", arguments=args)
    args = encode_audio_args(_final_mix(plan), audio_track_args(plan.container))
    yield ExplainedCommand(purpose="encode the audio", arguments=args)


def _final_mix(plan: RenderPlan) -> Path:
    return _FILTERED if isinstance(plan.loudness, str) else _MIX


def _mux_command(plan: RenderPlan, encoder: Encoder, count: int) -> ExplainedCommand:
    audio = encoded_audio_path(_final_mix(plan), audio_track_args(plan.container)) if plan.has_audio else None
    command = final_mux_args(plan, encoder.codec, count, audio, Path(f"film.{plan.container.format}"))
    return ExplainedCommand(purpose="mux the video", arguments=command.args, scripts=command.scripts)


def _full_command(command: ExplainedCommand, binary: Path, threads: int) -> ExplainedCommand:
    """Return the command with the binary, the global flags and the environment."""
    flags = ["-hide_banner", "-nostdin", "-filter_complex_threads", str(threads), "-y"]
    has_text = "subtitles=" in " ".join(command.arguments)
    return ExplainedCommand(
        purpose=command.purpose,
        arguments=[str(binary), *flags, *command.arguments],
        # Without it, fallback fonts for glyphs that the bundled fonts lack would differ from those of a render.
        environment={"FONTCONFIG_FILE": str(FONTCONFIG)} if has_text else {},
        scripts=command.scripts,
    )
