"""Making a film: segments of picture side by side with its sound, then the joining of all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.output_checks import check_frame_count, check_stderr, missing_fonts, verify_video
from callsheet.media.probing.probe import probe
from callsheet.media.rendering import segments, stream_copy
from callsheet.media.rendering.audio_track import encode_audio_track
from callsheet.media.rendering.cache_keys import Keys, keys_of
from callsheet.media.rendering.final_mux import final_mux_args
from callsheet.media.rendering.progress_aggregator import ProgressAggregator
from callsheet.media.rendering.render_plan import RenderedFilm, RenderPlan, expected_output
from callsheet.media.rendering.segment_commands import FFmpegCommand, compile_segments
from callsheet.media.rendering.segments import Segment, stem_of
from callsheet.processes.bounded_gather import gather_limited

_SHARE_OF_PICTURE = 0.92
_SHARE_OF_SOUND = 0.05
_EFFORT_OF_STILLS = 0.2
"""What a frame that shows no film costs, beside one that does."""
_ON_A_GPU = 2
"""Runs at the same time. Those of desktops encode eight pictures at once, and a run has up to two."""
_FETCHES = 8
"""Segments that are brought here at the same time."""
_UNFOUND_FONTS = "some characters are in no font of this machine, and are shown as boxes"


class Cache(Protocol):
    """Finished segments, by what they are made of."""

    async def fetch(self, key: str, target: Path) -> bool:
        """Bring what was kept under a key to `target`; False when there is nothing."""

    async def keep(self, key: str, path: Path) -> None:
        """Keep a finished segment."""


class EncoderFailed(FFmpegFailed):
    """A hardware encoder could not do its work."""


async def render_film(
    film: RenderPlan,
    encoder: Encoder,
    ffmpeg: FFmpeg,
    folder: Path,
    tell: Callable[[float], None],
    cache: Cache | None = None,
) -> RenderedFilm:
    """Make a film in a folder and return it checked; `tell` gets the share done.

    Raises FFmpegFailed when a source breaks off or the outcome is not what was planned, EncoderFailed when a
    hardware encoder was at work.
    """
    return await Renderer(film, encoder, ffmpeg, folder, tell, cache).complete()


def segment_command(
    film: RenderPlan, encoder: Encoder, cut: Sequence[Segment], run: Sequence[int], threads: int
) -> FFmpegCommand:
    """Return what makes some segments of a film in one run of FFmpeg."""
    together, stems = [cut[number] for number in run], [stem_of(number) for number in run]
    if film.copies(together[0]):
        return FFmpegCommand(stream_copy.stream_copy_args(together[0].shots[0], film.canvas, stems[0]))
    return compile_segments(together, film.canvas, film.above, encoder, threads=threads, stems=stems)


class Renderer:
    """A film that is being made in a folder."""

    def __init__(
        self,
        film: RenderPlan,
        encoder: Encoder,
        ffmpeg: FFmpeg,
        folder: Path,
        tell: Callable[[float], None],
        cache: Cache | None = None,
    ) -> None:
        self.film = film
        self.encoder = encoder
        self.segments = segments.split_segments(film.plan, whole=film.copied)
        self._ffmpeg = ffmpeg
        self._folder = folder
        self._cache = cache
        self._shares = ProgressAggregator(tell, film.plan.seconds)
        self._keys: Keys | None = None
        self._done: set[int] = set()
        self._notes: dict[str, None] = {}

    async def look_up(self) -> list[int]:
        """Bring what the cache holds, and return the numbers of the segments that are still to be made."""
        if self._cache is not None and self._keys is None:
            self._keys = await keys_of(self.film, self.segments, self.encoder, self._ffmpeg)
            fetches = [partial(self._fetch, self._cache, number, key) for number, key in enumerate(self._keys.segments)]
            await gather_limited(fetches, limit=_FETCHES)
        return [number for number in range(len(self.segments)) if number not in self._done]

    async def _fetch(self, cache: Cache, number: int, key: str) -> None:
        if not self._copies(number) and await cache.fetch(key, self._path(number)):
            self._tell_done(number)

    async def encode(self, numbers: Iterable[int]) -> None:
        """Make some segments, several at once. Raises as `make` does."""
        self._shares.begin()
        await gather_limited(self._encodings(numbers), limit=self._at_once)

    async def complete(self) -> RenderedFilm:
        """Make what is still to be made, join all and check the outcome. Raises as `make` does."""
        missing = await self.look_up()
        self._shares.begin()
        works: list[Callable[[], Awaitable[Path | None]]] = [*self._encodings(missing), self._sound]
        audio = (await gather_limited(works, limit=self._at_once))[-1]
        output = self._folder / f"film.{self.film.container.format}"
        await self._join(audio, output)
        await verify_video(output, expected_output(self.film))
        return RenderedFilm(output, tuple(self._notes))

    @property
    def _at_once(self) -> int:
        """How many runs there are at the same time: those of the segments, then that of the sound."""
        most = _ON_A_GPU if self.encoder.is_hardware else max(2, self._ffmpeg.threads // 4)
        return min(len(self.segments) + 1, self._ffmpeg.threads, most)

    def _encodings(self, numbers: Iterable[int]) -> list[Callable[[], Awaitable[None]]]:
        threads = max(1, self._ffmpeg.threads // min(len(self.segments), self._at_once))
        # The longest first, so that all processors have work until the end.
        runs = sorted(self.encode_together(numbers), key=self._effort, reverse=True)
        return [partial(self._encode, run, threads) for run in runs]

    def _effort(self, run: Sequence[int]) -> float:
        segments = [self.segments[number] for number in run]
        return sum(
            segment.frames * (1 if any(shot.moves for shot in segment.shots) else _EFFORT_OF_STILLS)
            for segment in segments
        )

    def encode_together(self, numbers: Iterable[int]) -> list[tuple[int, ...]]:
        """Return the numbers of segments to make, those together that are made by one run of FFmpeg."""
        return segments.group_segments(numbers, self.segments)

    async def _encode(self, run: Sequence[int], threads: int) -> None:
        label = self.segments[run[-1]].label
        report = await self._run(run, threads, label)
        check_stderr(report, label)
        if missing_fonts(report):
            self._notes[_UNFOUND_FONTS] = None
        for number in run:
            if self._cache is not None and self._keys is not None and not self._copies(number):
                await self._cache.keep(self._keys.segments[number], self._path(number))
            self._tell_done(number)

    async def _run(self, run: Sequence[int], threads: int, label: str) -> str:
        work = segment_command(self.film, self.encoder, self.segments, run, threads)
        frames = sum(self.segments[number].frames for number in run)
        await asyncio.to_thread(self._write, work.scripts)
        paths = [self._path(number) for number in run]
        for path in paths:
            # What lies there may be the cache's own file under a second name, and must not be written over.
            await asyncio.to_thread(path.unlink, missing_ok=True)
        try:
            report = await self._ffmpeg.run(
                work.args,
                duration=self.film.plan.time_of(frames),
                on_progress=partial(self._tell_share, run),
                cwd=self._folder,
                growing=paths[1:],
            )
        except FFmpegFailed as error:
            # Whatever went wrong on the GPU is worth a second look without it, which also tells the true cause.
            blame = EncoderFailed if self.encoder.is_hardware else FFmpegFailed
            raise blame(f"{label}: {error.message}", **error.facts) from None
        check_frame_count(report, frames, label)
        if len(run) > 1:
            # Then FFmpeg tells how many frames it made, not how many it wrote.
            await gather_limited([partial(self._check, number) for number in run], limit=len(run))
        return report.stderr

    async def _check(self, number: int) -> None:
        segment, written = self.segments[number], (await probe(self._path(number))).frames
        if written != segment.frames:
            raise FFmpegFailed(f"{segment.label}: FFmpeg wrote {written} of {segment.frames} frames")

    def _copies(self, number: int) -> bool:
        return self.film.copies(self.segments[number])

    async def _sound(self) -> Path | None:
        audio = await self._track() if self.film.has_sound else None
        self._shares.report("sound", _SHARE_OF_SOUND)
        return audio

    async def _track(self) -> Path:
        known = self._folder / "sound"
        if self._cache is None or self._keys is None:
            return await encode_audio_track(self.film, self._ffmpeg, self._folder)
        if await self._cache.fetch(self._keys.sound, known):
            return known
        made = await encode_audio_track(self.film, self._ffmpeg, self._folder)
        await self._cache.keep(self._keys.sound, made)
        return made

    async def _join(self, audio: Path | None, output: Path) -> None:
        work = final_mux_args(self.film, self.encoder.codec, len(self.segments), audio, output)
        await asyncio.to_thread(self._write, work.scripts)
        report = await self._ffmpeg.run(work.args, cwd=self._folder)
        check_frame_count(report, self.film.plan.frames, "the film")

    def _write(self, scripts: Mapping[str, str]) -> None:
        for name, text in scripts.items():
            (self._folder / name).write_text(text, encoding="utf-8")

    def _path(self, number: int) -> Path:
        return self._folder / f"{stem_of(number)}.mp4"

    def _share(self, segment: Segment) -> float:
        return _SHARE_OF_PICTURE * segment.frames / self.film.plan.frames

    def _tell_share(self, run: Sequence[int], done: float) -> None:
        for number in run:
            self._shares.report(stem_of(number), done * self._share(self.segments[number]))

    def _tell_done(self, number: int) -> None:
        self._done.add(number)
        self._shares.report(stem_of(number), self._share(self.segments[number]))
