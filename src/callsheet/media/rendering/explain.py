"""What making a film would take, told without making it: the pieces, and the commands for each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from callsheet.domain.model import Model
from callsheet.media.encoding.audio_encode import encoded_path, encoding_words
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.loudness import Target
from callsheet.media.fonts import FONTCONFIG
from callsheet.media.rendering import audio_mix, segments
from callsheet.media.rendering.audio_mix import Sound
from callsheet.media.rendering.audio_track import filtering_words, sound_words
from callsheet.media.rendering.final_mux import joining
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlays import Above, GivenScript, Lettering, is_seen
from callsheet.media.rendering.render_plan import Film
from callsheet.media.rendering.renderer import work_of
from callsheet.media.rendering.segments import Segment

_MIX = Path("mix.w64")
_LEVEL = Path("level.w64")


class Piece(Model):
    """A part of the picture, made by itself."""

    number: int
    start_frame: int
    frames: int
    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")
    scenes: list[str]
    above: list[str] = Field(description="What lies over the scenes, the last on top")
    copied: bool = Field(description="Taken over from its file as it is, without an encode")


class Command(Model):
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
    pieces: list[Piece]
    commands: list[Command]
    notes: list[str] = Field(description="What is done otherwise than asked, and what the commands leave out")


def explain(film: Film, encoder: Encoder, notes: Sequence[str], binary: Path, threads: int) -> Explanation:
    """Return what making a film would take. Nothing is started."""
    cut = segments.cut(film.plan, whole=film.copied)
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


def _piece(number: int, segment: Segment, film: Film) -> Piece:
    plan = film.plan
    seen = (thing for thing in film.above if is_seen(thing, segment.start, segment.end, plan.rate))
    return Piece(
        number=number,
        start_frame=segment.start,
        frames=segment.frames,
        start=round(plan.time_of(segment.start), 6),
        end=round(plan.time_of(segment.end), 6),
        scenes=[shot.label for shot in segment.shots],
        above=[_called(thing, segment, film) for thing in seen],
        copied=film.copies(segment),
    )


def _called(thing: Above, segment: Segment, film: Film) -> str:
    if isinstance(thing, Layer):
        return thing.where
    if isinstance(thing, GivenScript):
        return "captions"
    rate = film.plan.rate
    lines = [line for line in thing.lines if is_seen(Lettering((line,)), segment.start, segment.end, rate)]
    return "1 text" if len(lines) == 1 else f"{len(lines)} texts"


def _heard(film: Film) -> Iterator[str]:
    yield from (shot.label for shot in film.plan.shots if shot.sounds)
    yield from (_sound(each) for each in film.sounds)


def _sound(each: Sound) -> str:
    start, end = each.start / audio_mix.RATE, each.end / audio_mix.RATE
    words = f"{each.path.name} from {start:.2f} to {end:.2f} s"
    return words + (", again and again" if each.loop else "") + (", stepping back" if each.duck else "")


def _loudness(film: Film) -> str | None:
    if not film.has_sound or film.level is None:
        return None
    if isinstance(film.level, Target):
        return f"measured, then brought to {film.level.integrated:g} LUFS, peaks below {film.level.true_peak:g} dBTP"
    return f"the filter {film.level}"


def _left_out(film: Film) -> Iterator[str]:
    if film.has_sound and isinstance(film.level, Target):
        yield "the commands leave the loudness as it is: gain and limiter follow from a measurement of the mix"
    if any(isinstance(thing, GivenScript) for thing in film.above):
        yield "the captions come as a script of their own, which the commands read beside the others"


def _pictures(film: Film, cut: Sequence[Segment], encoder: Encoder, threads: int) -> Iterator[Command]:
    for run in segments.together(range(len(cut)), cut):
        work = work_of(film, encoder, cut, run, threads)
        pieces = " and ".join(f"piece {number}" for number in run)
        yield Command(makes=pieces, arguments=work.arguments, scripts=work.scripts)


def _sounds(film: Film) -> Iterator[Command]:
    steps = audio_mix.steps(film.plan, film.sounds, Path())
    for number, step in enumerate(steps, 1):
        part = "the sound" if number == len(steps) else f"a part of the sound, {step.output.stem}"
        yield Command(makes=part, arguments=step.arguments)
    if isinstance(film.level, str):
        words = filtering_words(film, _MIX, film.level, _LEVEL)
        yield Command(makes="the sound through the given filter", arguments=words)
    yield Command(makes="the sound, encoded", arguments=encoding_words(_levelled(film), sound_words(film.container)))


def _levelled(film: Film) -> Path:
    return _LEVEL if isinstance(film.level, str) else _MIX


def _joining(film: Film, encoder: Encoder, count: int) -> Command:
    audio = encoded_path(_levelled(film), sound_words(film.container)) if film.has_sound else None
    work = joining(film, encoder.codec, count, audio, Path(f"film.{film.container.format}"))
    return Command(makes="the film", arguments=work.arguments, scripts=work.scripts)


def _whole(command: Command, binary: Path, threads: int) -> Command:
    """Return a command as it is typed."""
    flags = ["-hide_banner", "-nostdin", "-filter_complex_threads", str(threads), "-y"]
    letters = "subtitles=" in " ".join(command.arguments)
    return Command(
        makes=command.makes,
        arguments=[str(binary), *flags, *command.arguments],
        # Without it, letters that our fonts lack would be looked for elsewhere than in a render.
        environment={"FONTCONFIG_FILE": str(FONTCONFIG)} if letters else {},
        scripts=command.scripts,
    )
