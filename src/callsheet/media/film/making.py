"""Making a film: segments of picture side by side, the sound in one piece, and the joining of both."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from callsheet.domain.errors import MediaFailed
from callsheet.media import codecs
from callsheet.media.binary import capabilities
from callsheet.media.codecs import AudioCodec
from callsheet.media.encoders import Encoder
from callsheet.media.film import copying, segments, sound
from callsheet.media.film.layers import Layer
from callsheet.media.film.picture import Canvas
from callsheet.media.film.schedule import Schedule
from callsheet.media.film.segments import Above, Segment, Work
from callsheet.media.film.sound import Sound
from callsheet.media.inputs import file_url, media_input
from callsheet.media.loudness import LOSSLESS, Target, level, read_meter
from callsheet.media.probe import Footage
from callsheet.media.progress import Progress
from callsheet.media.runner import FFmpeg
from callsheet.media.several import several
from callsheet.media.verify import Expected, check_frames, check_whole, unfound_fonts, verified

_SHARE_OF_PICTURE = 0.92
_SHARE_OF_SOUND = 0.05
_INDEX = "segments.txt"
_FETCHES = 8
"""Segments that are brought here at the same time."""
_UNFOUND_FONTS = "some characters are in no font of this machine, and are shown as boxes"


class Cache(Protocol):
    """Finished segments, by what they are made of."""

    async def fetch(self, key: str, target: Path) -> bool:
        """Bring what was kept under a key to `target`; False when there is nothing."""

    async def keep(self, key: str, path: Path) -> None:
        """Keep a finished segment."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a film is put into."""

    format: codecs.Container = "mp4"
    sound: AudioCodec = "aac"
    sound_bitrate: int | None = 192_000
    """Bits per second; None is the codec's usual rate."""


@dataclass(frozen=True, slots=True)
class Film:
    """Everything that making a film takes."""

    plan: Schedule
    canvas: Canvas
    above: Sequence[Above] = ()
    """What lies over the scenes, the last on top. Given scripts lie in the folder that the film is made in."""
    sounds: Sequence[Sound] = ()
    """What is heard besides the scenes."""
    level: Target | str | None = None
    """A loudness to reach, a filter to use as it is, or None to leave the sound as it is."""
    mute: bool = False
    container: Container = field(default_factory=Container)
    copied: frozenset[int] = frozenset()
    """Shots, by their place in the plan, whose picture is taken over as it is (see `copying`)."""

    @property
    def has_sound(self) -> bool:
        """Whether anything is heard."""
        return not self.mute and sound.has_sound(self.plan, self.sounds)

    @property
    def files(self) -> set[Path]:
        """The files that its picture is made of."""
        footage = [shot.footage for shot in self.plan.shots]
        footage += [thing.footage for thing in self.above if isinstance(thing, Layer)]
        return {found.path for found in footage if found is not None}


@dataclass(frozen=True, slots=True)
class Made:
    """A finished film."""

    path: Path
    notes: tuple[str, ...]


class EncoderFailed(MediaFailed):
    """A hardware encoder could not do its work."""


async def make(
    film: Film,
    encoder: Encoder,
    ffmpeg: FFmpeg,
    folder: Path,
    tell: Callable[[float], None],
    cache: Cache | None = None,
) -> Made:
    """Make a film in a folder and return it checked; `tell` gets the share done.

    Raises MediaFailed when a source breaks off or the outcome is not what was planned, EncoderFailed when a
    hardware encoder was at work.
    """
    return await Production(film, encoder, ffmpeg, folder, tell, cache).complete()


class Production:
    """A film that is being made in a folder."""

    def __init__(
        self,
        film: Film,
        encoder: Encoder,
        ffmpeg: FFmpeg,
        folder: Path,
        tell: Callable[[float], None],
        cache: Cache | None = None,
    ) -> None:
        self.film = film
        self.encoder = encoder
        self.segments = segments.cut(film.plan, whole=film.copied)
        self._copied = {film.plan.shots[number].start for number in film.copied}
        self._ffmpeg = ffmpeg
        self._folder = folder
        self._cache = cache
        self._shares = _Shares(tell, film.plan.seconds)
        self._keys: list[str] | None = None
        self._done: set[int] = set()
        self._notes: dict[str, None] = {}

    async def look_up(self) -> list[int]:
        """Bring what the cache holds, and return the numbers of the segments that are still to be made."""
        if self._cache is not None and self._keys is None:
            self._keys = await self._digests()
            fetches = [partial(self._fetch, self._cache, number, key) for number, key in enumerate(self._keys)]
            await several(fetches, at_once=_FETCHES)
        return [number for number in range(len(self.segments)) if number not in self._done]

    async def _fetch(self, cache: Cache, number: int, key: str) -> None:
        if not self._copies(number) and await cache.fetch(key, self._path(number)):
            self._tell_done(number)

    async def encode(self, numbers: Iterable[int]) -> None:
        """Make some segments, several at once. Raises as `make` does."""
        self._shares.begin()
        await several(self._encodings(numbers), at_once=self._at_once)

    async def complete(self) -> Made:
        """Make what is still to be made, join all and check the outcome. Raises as `make` does."""
        missing = await self.look_up()
        self._shares.begin()
        works: list[Callable[[], Awaitable[Path | None]]] = [self._sound, *self._encodings(missing)]
        audio = (await several(works, at_once=self._at_once))[0]
        output = self._folder / f"film.{self.film.container.format}"
        await self._join(audio, output)
        await verified(output, expected(self.film))
        return Made(output, tuple(self._notes))

    @property
    def _at_once(self) -> int:
        """How many runs there are at the same time: the segments, with the sound before them."""
        return min(len(self.segments) + 1, self._ffmpeg.threads, max(2, self._ffmpeg.threads // 4))

    def _encodings(self, numbers: Iterable[int]) -> list[Callable[[], Awaitable[None]]]:
        threads = max(1, self._ffmpeg.threads // min(len(self.segments), self._at_once))
        return [partial(self._encode, number, threads) for number in numbers]

    async def _digests(self) -> list[str]:
        film, version = self.film, (await capabilities(self._ffmpeg.binary)).version
        contents = {path: await asyncio.to_thread(_sha256, path) for path in film.files}
        # Many long scripts take their time.
        return await asyncio.to_thread(
            lambda: [
                "segment/" + segments.digest(segment, film.canvas, film.above, self.encoder, version, contents)
                for segment in self.segments
            ]
        )

    async def _encode(self, number: int, threads: int) -> None:
        segment = self.segments[number]
        report = await self._run(segment, number, threads)
        check_whole(report, segment.label)
        if unfound_fonts(report):
            self._notes[_UNFOUND_FONTS] = None
        if self._cache is not None and self._keys is not None and not self._copies(number):
            await self._cache.keep(self._keys[number], self._path(number))
        self._tell_done(number)

    async def _run(self, segment: Segment, number: int, threads: int) -> str:
        film, stem = self.film, stem_of(number)
        if self._copies(number):
            work = Work(copying.arguments(segment.shots[0], film.canvas, stem))
        else:
            work = segments.compiled(segment, film.canvas, film.above, self.encoder, threads=threads, stem=stem)
        await asyncio.to_thread(self._write, work.scripts)
        # What lies there may be the cache's own file under a second name, and must not be written over.
        await asyncio.to_thread(self._path(number).unlink, missing_ok=True)
        share = self._share(segment)
        try:
            report = await self._ffmpeg.run(
                work.arguments,
                duration=film.plan.time_of(segment.frames),
                on_progress=lambda done: self._shares.report(stem, done * share),
                cwd=self._folder,
            )
        except MediaFailed as error:
            # Whatever went wrong on the GPU is worth a second look without it, which also tells the true cause.
            blame = EncoderFailed if self.encoder.is_hardware else MediaFailed
            raise blame(f"{segment.label}: {error.message}", **error.facts) from None
        check_frames(report, segment.frames, segment.label)
        return report.stderr

    def _copies(self, number: int) -> bool:
        """Tell whether a segment is taken over from its file as it is."""
        return self.segments[number].start in self._copied

    async def _sound(self) -> Path | None:
        audio = await make_sound(self.film, self._ffmpeg, self._folder)
        self._shares.report("sound", _SHARE_OF_SOUND)
        return audio

    async def _join(self, audio: Path | None, output: Path) -> None:
        work = joining(self.film, self.encoder.codec, len(self.segments), audio, output)
        await asyncio.to_thread(self._write, work.scripts)
        report = await self._ffmpeg.run(work.arguments, cwd=self._folder)
        check_frames(report, self.film.plan.frames, "the film")

    def _write(self, scripts: Mapping[str, str]) -> None:
        for name, text in scripts.items():
            (self._folder / name).write_text(text, encoding="utf-8")

    def _path(self, number: int) -> Path:
        return self._folder / f"{stem_of(number)}.mp4"

    def _share(self, segment: Segment) -> float:
        return _SHARE_OF_PICTURE * segment.frames / self.film.plan.frames

    def _tell_done(self, number: int) -> None:
        self._done.add(number)
        self._shares.report(stem_of(number), self._share(self.segments[number]))


def expected(film: Film) -> Expected:
    """Return what the finished film must be."""
    return Expected(film.canvas.width, film.canvas.height, film.plan.frames, film.plan.rate, sound=film.has_sound)


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
        words += ["-video_track_timescale", str(segments.time_scale(film.canvas.rate))]
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


def stem_of(number: int) -> str:
    """Return the name of a segment's file, without its suffix."""
    return f"segment{number:05d}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Shares:
    """Adds up what many runs have done, with the speed and the time left of all together."""

    def __init__(self, tell: Callable[[float], None], seconds: float) -> None:
        self._tell = tell
        self._seconds = seconds
        self._done: dict[str, float] = {}
        self._begun: tuple[float, float] | None = None
        """When the work itself began, and how much was there then."""

    def begin(self) -> None:
        """Take what is there so far for a gift: the speed is that of the work from now on."""
        self._begun = time.monotonic(), self._share

    def report(self, name: str, done: float) -> None:
        """Take the share of the whole that one run has done."""
        self._done[name] = max(done, self._done.get(name, 0.0))
        self._tell(Progress(self._share, *self._pace()))

    @property
    def _share(self) -> float:
        return min(0.99, sum(self._done.values()))

    def _pace(self) -> tuple[float, float] | tuple[None, None]:
        if self._begun is None:
            return None, None
        elapsed, done = time.monotonic() - self._begun[0], self._share - self._begun[1]
        if elapsed < 1 or done <= 0:
            return None, None
        return done * self._seconds / elapsed, (1 - self._share) * elapsed / done
