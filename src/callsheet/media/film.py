"""Making a film: pieces of picture side by side, the sound in one piece, and the joining of both."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from callsheet.domain.errors import MediaFailed
from callsheet.media import segments, sound
from callsheet.media.encoders import Encoder
from callsheet.media.inputs import file_url, media_input
from callsheet.media.loudness import LOSSLESS, Target, level, read_meter
from callsheet.media.picture import Canvas
from callsheet.media.probe import Footage
from callsheet.media.runner import FFmpeg
from callsheet.media.schedule import Schedule
from callsheet.media.segments import Script, Segment
from callsheet.media.timeline import Soundtrack
from callsheet.media.verify import Expected, check_frames, check_whole, unfound_fonts, verified

AUDIO = ("-c:a", "aac", "-b:a", "192k", "-ar", "48000", "-ac", "2")
"""Words for finished sound."""

T = TypeVar("T")

_SHARE_OF_PICTURE = 0.92
_SHARE_OF_SOUND = 0.05


@dataclass(frozen=True, slots=True)
class Music:
    """A soundtrack whose file is at hand."""

    path: Path
    soundtrack: Soundtrack


@dataclass(frozen=True, slots=True)
class Film:
    """Everything that making a film takes."""

    plan: Schedule
    canvas: Canvas
    scripts: Sequence[Script]
    """They lie in the folder that the film is made in."""
    music: Music | None
    level: Target | str | None
    """A loudness to reach, a filter to use as it is, or None to leave the sound as it is."""


@dataclass(frozen=True, slots=True)
class Made:
    """A finished film."""

    path: Path
    notes: tuple[str, ...]


class EncoderFailed(MediaFailed):
    """A hardware encoder could not do its work."""


async def make(film: Film, encoder: Encoder, ffmpeg: FFmpeg, folder: Path, tell: Callable[[float], None]) -> Made:
    """Make a film in a folder and return it checked; `tell` gets the share done.

    Raises MediaFailed when a source breaks off or the outcome is not what was planned, EncoderFailed when a
    hardware encoder was at work.
    """
    shares = _Shares(tell)
    pieces = segments.cut(film.plan)
    # The sound first: it fails quickly where a source is broken, and takes little.
    audio = await _sound(film, ffmpeg, folder)
    shares.report("sound", _SHARE_OF_SOUND)
    notes = await _picture(film, pieces, encoder, ffmpeg, folder, shares)
    output = folder / "film.mp4"
    await ffmpeg.run(_joining(film, pieces, audio, folder, output), cwd=folder)
    await verified(output, _expected(film, audio))
    return Made(output, notes)


def _expected(film: Film, audio: Path | None) -> Expected:
    return Expected(film.canvas.width, film.canvas.height, film.plan.frames, film.plan.rate, sound=audio is not None)


async def keep_picture(
    film: Film, source: Footage, ffmpeg: FFmpeg, folder: Path, tell: Callable[[float], None]
) -> Made:
    """Make a film whose picture is taken over from its only source as it is, and check it; only the sound is made.

    Raises MediaFailed as `make` does.
    """
    audio = await _sound(film, ffmpeg, folder)
    tell(0.5)
    output = folder / "film.mp4"
    words = [*media_input(source.path), *([] if audio is None else media_input(audio)), "-map", "0:v:0", "-c:v", "copy"]
    words += [] if audio is None else ["-map", "1:a:0", *AUDIO]
    report = await ffmpeg.run([*words, *finishing_touches(segments.time_scale(film.canvas.rate)), file_url(output)])
    check_whole(report.stderr, source.path.name)
    await verified(output, _expected(film, audio))
    return Made(output, ())


async def _picture(
    film: Film, pieces: list[Segment], encoder: Encoder, ffmpeg: FFmpeg, folder: Path, shares: "_Shares"
) -> tuple[str, ...]:
    at_once = min(len(pieces), ffmpeg.threads, max(2, ffmpeg.threads // 4))
    threads = max(1, ffmpeg.threads // at_once)
    seats = asyncio.Semaphore(at_once)

    async def one(number: int, piece: Segment) -> str:
        async with seats:
            name = _name(number)
            words = segments.arguments(piece, film.canvas, film.scripts, encoder, threads=threads, output=name)
            share = _SHARE_OF_PICTURE * piece.frames / sum(p.frames for p in pieces)
            return await _encode(ffmpeg, words, piece, film, encoder, folder, lambda x: shares.report(name, x * share))

    logs = await _all(one(number, piece) for number, piece in enumerate(pieces))
    if any(unfound_fonts(log) for log in logs):
        return ("some characters are in no font of this machine, and are shown as boxes",)
    return ()


async def _encode(
    ffmpeg: FFmpeg,
    words: list[str],
    piece: Segment,
    film: Film,
    encoder: Encoder,
    folder: Path,
    tell: Callable[[float], None],
) -> str:
    what = " and ".join(f"scenes[{shot.number}]" for shot in piece.shots)
    seconds = film.plan.time_of(piece.frames)
    try:
        report = await ffmpeg.run(words, duration=seconds, on_progress=tell, cwd=folder)
    except MediaFailed as error:
        # Whatever went wrong on the GPU is worth a second look without it, which also tells the true cause.
        blame = MediaFailed if encoder.name == "libx264" else EncoderFailed
        raise blame(f"{what}: {error.message}", **error.facts) from None
    check_whole(report.stderr, what)
    check_frames(report, piece.frames, what)
    return report.stderr


async def _sound(film: Film, ffmpeg: FFmpeg, folder: Path) -> Path | None:
    soundtrack = film.music.soundtrack if film.music else None
    if not sound.has_sound(film.plan, soundtrack):
        return None
    mix = folder / "mix.w64"
    words = sound.arguments(film.plan, soundtrack, film.music.path if film.music else None, mix)
    report = await ffmpeg.run(words, verbosity="info", cwd=folder)
    if film.level is None:
        return mix
    if isinstance(film.level, Target):
        return await level(ffmpeg, mix, read_meter(report.stderr), film.level, folder / "level.w64")
    length = sound.samples(film.plan.frames, film.plan.rate)
    return await _filtered(ffmpeg, mix, film.level, length, folder / "level.w64")


async def _filtered(ffmpeg: FFmpeg, path: Path, filters: str, length: int, output: Path) -> Path:
    """Write sound through filters that somebody gave, as long as it was before."""
    whole = f"aresample={sound.RATE},apad=whole_len={length},atrim=end_sample={length}"
    words = ["-i", file_url(path), "-map", "0:a:0", "-af", f"{filters},{whole}", *LOSSLESS]
    await ffmpeg.run([*words, file_url(output)])
    return output


def _joining(film: Film, pieces: list[Segment], audio: Path | None, folder: Path, output: Path) -> list[str]:
    """Write the list of pieces, and return the words that join them and encode the sound."""
    index = folder / "pieces.txt"
    index.write_text("ffconcat version 1.0\n" + "".join(f"file {_name(n)}\n" for n in range(len(pieces))))
    words = ["-f", "concat", "-safe", "1", "-i", file_url(index)]
    words += [] if audio is None else media_input(audio)
    words += ["-map", "0:v:0", "-c:v", "copy"]
    words += [] if audio is None else ["-map", "1:a:0", *AUDIO]
    scale = segments.time_scale(film.canvas.rate)
    return [*words, *finishing_touches(scale), file_url(output)]


def finishing_touches(time_scale: int) -> list[str]:
    """Return the words that make a file begin to play at once, and keep nothing of where it came from."""
    tags = ["-map_metadata", "-1", "-map_chapters", "-1"]
    return [*tags, "-video_track_timescale", str(time_scale), "-movflags", "+faststart", "-f", "mp4"]


def _name(number: int) -> str:
    return f"piece{number:05d}.mp4"


async def _all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all; when one fails, end the others and raise its error alone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


class _Shares:
    """Adds up what many runs have done."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._done: dict[str, float] = {}

    def report(self, name: str, done: float) -> None:
        self._done[name] = max(done, self._done.get(name, 0.0))
        self._tell(min(0.99, sum(self._done.values())))
