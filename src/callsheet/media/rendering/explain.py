"""What making a film would take, told without making it: the pieces, and the commands for each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from callsheet.domain.model import Model
from callsheet.media.encoding.audio_encode import encode_audio_args, encoded_audio_path
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.loudness import Target
from callsheet.media.fonts import FONTCONFIG
from callsheet.media.rendering import audio_mix, segments
from callsheet.media.rendering.audio_mix import AudioPlacement
from callsheet.media.rendering.audio_track import audio_filter_args, audio_track_args
from callsheet.media.rendering.final_mux import final_mux_args
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlays import Above, AssScript, TextLayer, is_seen
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.renderer import segment_command
from callsheet.media.rendering.segments import Segment

_MIX = Path("mix.w64")
_LEVEL = Path("level.w64")


class ExplainedSegment(Model):
    """A part of the picture, made by itself."""

    number: int
    start_frame: int
    frames: int
    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")
    scenes: list[str]
    above: list[str] = Field(description="What lies over the scenes, the last on top")
    copied: bool = Field(description="Taken over from its file as it is, without an encode")


class ExplainedCommand(Model):
    """One run of FFmpeg. They run one after another, in one folder."""

    makes: str = Field(description="What it is for")
    arguments: list[str] = Field(description="The whole command line")
    environment: dict[str, str] = Field(default_factory=dict)
    scripts: dict[str, str] = Field(default_factory=dict, description="Files that it reads in that folder, by name")


class Explanation(Model):
    """A film before it is made."""

    duration: float = Field(description="Seconds")
    frames: int
    frames_to_encode: int = Field(description="Fewer where the cache holds some of the pieces")
    width: int
    height: int
    fps: str = Field(examples=["30", "30000/1001"])
    format: str
    video_codec: str
    encoder: str = Field(examples=["libx264"])
    audio_codec: str | None = Field(description="None for a film without sound")
    heard: list[str] = Field(description="What the sound is made of")
    loudness: str | None = Field(description="What is done about it")
    pieces: list[ExplainedSegment]
    commands: list[ExplainedCommand]
    notes: list[str] = Field(description="What is done otherwise than asked, and what the commands leave out")


def explain(film: RenderPlan, encoder: Encoder, notes: Sequence[str], binary: Path, threads: int) -> Explanation:
    """Return what making a film would take. Nothing is started."""
    cut = segments.split_segments(film.plan, whole=film.copied)
    pieces = [_piece(number, segment, film) for number, segment in enumerate(cut)]
    commands = [
        *_pictures(film, cut, encoder, threads),
        *(_sounds(film) if film.has_sound else ()),
        _joining(film, encoder, len(cut)),
    ]
    return Explanation(
        duration=round(film.plan.seconds, 6),
        frames=film.plan.frames,
        frames_to_encode=sum(piece.frames for piece in pieces if not piece.copied),
        width=film.canvas.width,
        height=film.canvas.height,
        fps=str(film.canvas.rate),
        format=film.container.format,
        video_codec=encoder.codec,
        encoder=encoder.name,
        audio_codec=film.container.sound if film.has_sound else None,
        heard=[*_heard(film)] if film.has_sound else [],
        loudness=_loudness(film),
        pieces=pieces,
        commands=[_whole(command, binary, threads) for command in commands],
        notes=[*notes, *_left_out(film)],
    )


def _piece(number: int, segment: Segment, film: RenderPlan) -> ExplainedSegment:
    plan = film.plan
    seen = (thing for thing in film.above if is_seen(thing, segment.start, segment.end, plan.rate))
    return ExplainedSegment(
        number=number,
        start_frame=segment.start,
        frames=segment.frames,
        start=round(plan.time_of(segment.start), 6),
        end=round(plan.time_of(segment.end), 6),
        scenes=[shot.label for shot in segment.shots],
        above=[_called(thing, segment, film) for thing in seen],
        copied=film.copies(segment),
    )


def _called(thing: Above, segment: Segment, film: RenderPlan) -> str:
    if isinstance(thing, Layer):
        return thing.where
    if isinstance(thing, AssScript):
        return "captions"
    rate = film.plan.rate
    lines = [line for line in thing.lines if is_seen(TextLayer((line,)), segment.start, segment.end, rate)]
    return "1 text" if len(lines) == 1 else f"{len(lines)} texts"


def _heard(film: RenderPlan) -> Iterator[str]:
    yield from (shot.label for shot in film.plan.shots if shot.sounds)
    yield from (_sound(each) for each in film.sounds)


def _sound(each: AudioPlacement) -> str:
    start, end = each.start / audio_mix.RATE, each.end / audio_mix.RATE
    words = f"{each.path.name} from {start:.2f} to {end:.2f} s"
    return words + (", again and again" if each.loop else "") + (", stepping back" if each.duck else "")


def _loudness(film: RenderPlan) -> str | None:
    if not film.has_sound or film.level is None:
        return None
    if isinstance(film.level, Target):
        return f"measured, then brought to {film.level.integrated:g} LUFS, peaks below {film.level.true_peak:g} dBTP"
    return f"the filter {film.level}"


def _left_out(film: RenderPlan) -> Iterator[str]:
    if film.has_sound and isinstance(film.level, Target):
        yield "the commands leave the loudness as it is: gain and limiter follow from a measurement of the mix"
    if any(isinstance(thing, AssScript) for thing in film.above):
        yield "the captions come as a script of their own, which the commands read beside the others"


def _pictures(film: RenderPlan, cut: Sequence[Segment], encoder: Encoder, threads: int) -> Iterator[ExplainedCommand]:
    for run in segments.group_segments(range(len(cut)), cut):
        work = segment_command(film, encoder, cut, run, threads)
        pieces = " and ".join(f"piece {number}" for number in run)
        yield ExplainedCommand(makes=pieces, arguments=work.args, scripts=work.scripts)


def _sounds(film: RenderPlan) -> Iterator[ExplainedCommand]:
    steps = audio_mix.steps(film.plan, film.sounds, Path())
    for number, step in enumerate(steps, 1):
        part = "the sound" if number == len(steps) else f"a part of the sound, {step.output.stem}"
        yield ExplainedCommand(makes=part, arguments=step.arguments)
    if isinstance(film.level, str):
        words = audio_filter_args(film, _MIX, film.level, _LEVEL)
        yield ExplainedCommand(makes="the sound through the given filter", arguments=words)
    yield ExplainedCommand(
        makes="the sound, encoded", arguments=encode_audio_args(_levelled(film), audio_track_args(film.container))
    )


def _levelled(film: RenderPlan) -> Path:
    return _LEVEL if isinstance(film.level, str) else _MIX


def _joining(film: RenderPlan, encoder: Encoder, count: int) -> ExplainedCommand:
    audio = encoded_audio_path(_levelled(film), audio_track_args(film.container)) if film.has_sound else None
    work = final_mux_args(film, encoder.codec, count, audio, Path(f"film.{film.container.format}"))
    return ExplainedCommand(makes="the film", arguments=work.args, scripts=work.scripts)


def _whole(command: ExplainedCommand, binary: Path, threads: int) -> ExplainedCommand:
    """Return a command as it is typed."""
    flags = ["-hide_banner", "-nostdin", "-filter_complex_threads", str(threads), "-y"]
    letters = "subtitles=" in " ".join(command.arguments)
    return ExplainedCommand(
        makes=command.makes,
        arguments=[str(binary), *flags, *command.arguments],
        # Without it, letters that our fonts lack would be looked for elsewhere than in a render.
        environment={"FONTCONFIG_FILE": str(FONTCONFIG)} if letters else {},
        scripts=command.scripts,
    )
