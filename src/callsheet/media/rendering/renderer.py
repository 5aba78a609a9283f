"""The renderer: encodes the segments and the audio in parallel, then muxes them into one file."""

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
from callsheet.media.rendering import stream_copy
from callsheet.media.rendering.audio_track import encode_audio_track
from callsheet.media.rendering.cache_keys import CacheKeys, compute_cache_keys
from callsheet.media.rendering.final_mux import final_mux_args
from callsheet.media.rendering.progress_aggregator import ProgressAggregator
from callsheet.media.rendering.render_plan import RenderedVideo, RenderPlan, expected_output
from callsheet.media.rendering.segment_commands import FFmpegCommand, compile_segments
from callsheet.media.rendering.segments import Segment, group_segments, segment_stem, split_segments
from callsheet.processes.bounded_gather import gather_limited

_VIDEO_SHARE = 0.92
_AUDIO_SHARE = 0.05
_STILL_FRAME_COST = 0.2
"""Cost of a frame without video, relative to a frame with video."""
_MAX_GPU_COMMANDS = 2
"""Commands that run in parallel on a GPU. Desktop GPUs encode eight streams at once; a command has up to two."""
_MAX_FETCHES = 8
"""Cached segments that are fetched in parallel."""
_MISSING_FONTS = "some characters are in no font of this machine, and are shown as boxes"


class SegmentCache(Protocol):
    """Cache of encoded segments and audio tracks."""

    async def fetch(self, key: str, target: Path) -> bool:
        """Fetch the file of a key to `target`. Return False if the key is not cached."""

    async def keep(self, key: str, path: Path) -> None:
        """Store a file under a key."""


class HardwareEncoderFailed(FFmpegFailed):
    """A hardware encoder failed. The render operation retries with a software encoder."""


def segment_command(
    plan: RenderPlan, encoder: Encoder, segments: Sequence[Segment], run: Sequence[int], threads: int
) -> FFmpegCommand:
    """Return the FFmpeg command that produces the segments with the numbers `run`."""
    group, stems = [segments[number] for number in run], [segment_stem(number) for number in run]
    if plan.is_copied(group[0]):
        return FFmpegCommand(stream_copy.stream_copy_args(group[0].shots[0], plan.canvas, stems[0]))
    return compile_segments(group, plan.canvas, plan.layers, encoder, threads=threads, stems=stems)


class Renderer:
    """One render in a working folder.

    `on_progress` receives the share done, from 0 to 1. With a cache, segments and audio that it holds are not encoded
    again, and new ones are stored in it.
    """

    def __init__(
        self,
        plan: RenderPlan,
        encoder: Encoder,
        ffmpeg: FFmpeg,
        folder: Path,
        on_progress: Callable[[float], None],
        cache: SegmentCache | None = None,
    ) -> None:
        self.plan = plan
        self.encoder = encoder
        self.segments = split_segments(plan.schedule, unsplit=plan.copied_shots)
        self._ffmpeg = ffmpeg
        self._folder = folder
        self._cache = cache
        self._progress = ProgressAggregator(on_progress, plan.schedule.seconds)
        self._keys: CacheKeys | None = None
        self._done: set[int] = set()
        self._notes: dict[str, None] = {}

    async def fetch_cached_segments(self) -> list[int]:
        """Fetch all cached segments, and return the numbers of the segments that are missing."""
        if self._cache is not None and self._keys is None:
            self._keys = await compute_cache_keys(self.plan, self.segments, self.encoder, self._ffmpeg)
            fetches = [partial(self._fetch, self._cache, number, key) for number, key in enumerate(self._keys.segments)]
            await gather_limited(fetches, limit=_MAX_FETCHES)
        return [number for number in range(len(self.segments)) if number not in self._done]

    async def _fetch(self, cache: SegmentCache, number: int, key: str) -> None:
        if not self._is_copied(number) and await cache.fetch(key, self._path(number)):
            self._mark_done(number)

    async def encode(self, numbers: Iterable[int]) -> None:
        """Encode the segments with these numbers, several in parallel. Raises as `render` does."""
        self._progress.start()
        await gather_limited(self._encode_tasks(numbers), limit=self._parallelism)

    async def render(self) -> RenderedVideo:
        """Encode what is missing, mux it into one file and verify the file.

        Raises FFmpegFailed when a source is damaged or the output is not as planned, and HardwareEncoderFailed when
        FFmpeg fails with a hardware encoder.
        """
        missing = await self.fetch_cached_segments()
        self._progress.start()
        tasks: list[Callable[[], Awaitable[Path | None]]] = [*self._encode_tasks(missing), self._audio_track]
        audio = (await gather_limited(tasks, limit=self._parallelism))[-1]
        output = self._folder / f"film.{self.plan.container.format}"
        await self._mux(audio, output)
        await verify_video(output, expected_output(self.plan))
        return RenderedVideo(output, tuple(self._notes))

    @property
    def _parallelism(self) -> int:
        """Number of FFmpeg commands that run in parallel: the segments' and, last, the audio's."""
        limit = _MAX_GPU_COMMANDS if self.encoder.is_hardware else max(2, self._ffmpeg.threads // 4)
        return min(len(self.segments) + 1, self._ffmpeg.threads, limit)

    def _encode_tasks(self, numbers: Iterable[int]) -> list[Callable[[], Awaitable[None]]]:
        threads = max(1, self._ffmpeg.threads // min(len(self.segments), self._parallelism))
        # Longest first, so that all cores are busy until the end.
        runs = sorted(group_segments(numbers, self.segments), key=self._cost, reverse=True)
        return [partial(self._encode, run, threads) for run in runs]

    def _cost(self, run: Sequence[int]) -> float:
        segments = [self.segments[number] for number in run]
        return sum(
            segment.frames * (1 if any(shot.is_video for shot in segment.shots) else _STILL_FRAME_COST)
            for segment in segments
        )

    async def _encode(self, run: Sequence[int], threads: int) -> None:
        label = self.segments[run[-1]].label
        log = await self._run_command(run, threads, label)
        self._notes.update(dict.fromkeys(check_stderr(log, label, strict=self.plan.strict)))
        if missing_fonts(log):
            self._notes[_MISSING_FONTS] = None
        for number in run:
            if self._cache is not None and self._keys is not None and not self._is_copied(number):
                await self._cache.keep(self._keys.segments[number], self._path(number))
            self._mark_done(number)

    async def _run_command(self, run: Sequence[int], threads: int, label: str) -> str:
        """Run the FFmpeg command of some segments, check their frame counts and return the log."""
        command = segment_command(self.plan, self.encoder, self.segments, run, threads)
        frames = sum(self.segments[number].frames for number in run)
        await asyncio.to_thread(self._write_scripts, command.scripts)
        paths = [self._path(number) for number in run]
        for path in paths:
            # An existing file may be a hard link to the cache's own file, which must not be overwritten.
            await asyncio.to_thread(path.unlink, missing_ok=True)
        try:
            report = await self._ffmpeg.run(
                command.args,
                duration=self.plan.schedule.time_of(frames),
                on_progress=partial(self._report_progress, run),
                cwd=self._folder,
                growing=paths[1:],
            )
        except FFmpegFailed as error:
            # Any failure on a GPU is worth a retry without it. The retry also shows whether the source is the cause.
            failure = HardwareEncoderFailed if self.encoder.is_hardware else FFmpegFailed
            raise failure(f"{label}: {error.message}", **error.facts) from None
        check_frame_count(report, frames, label)
        if len(run) > 1:
            # With several outputs, FFmpeg reports how many frames it produced, not how many it wrote to each.
            await gather_limited([partial(self._check_frame_count, number) for number in run], limit=len(run))
        return report.stderr

    async def _check_frame_count(self, number: int) -> None:
        segment, written = self.segments[number], (await probe(self._path(number))).frames
        if written != segment.frames:
            raise FFmpegFailed(f"{segment.label}: FFmpeg wrote {written} of {segment.frames} frames")

    def _is_copied(self, number: int) -> bool:
        return self.plan.is_copied(self.segments[number])

    async def _audio_track(self) -> Path | None:
        audio = await self._fetch_or_encode_audio() if self.plan.has_audio else None
        self._progress.report("audio", _AUDIO_SHARE)
        return audio

    async def _fetch_or_encode_audio(self) -> Path:
        cached = self._folder / "sound"
        cache = (self._cache, self._keys.audio) if self._cache is not None and self._keys is not None else None
        if cache is not None and await cache[0].fetch(cache[1], cached):
            return cached
        encoded = await encode_audio_track(self.plan, self._ffmpeg, self._folder)
        if encoded.note is not None:  # the cache keeps no notes
            self._notes[encoded.note] = None
        elif cache is not None:
            await cache[0].keep(cache[1], encoded.path)
        return encoded.path

    async def _mux(self, audio: Path | None, output: Path) -> None:
        command = final_mux_args(self.plan, self.encoder.codec, len(self.segments), audio, output)
        await asyncio.to_thread(self._write_scripts, command.scripts)
        report = await self._ffmpeg.run(command.args, cwd=self._folder)
        check_frame_count(report, self.plan.schedule.frames, "the video")

    def _write_scripts(self, scripts: Mapping[str, str]) -> None:
        for name, text in scripts.items():
            (self._folder / name).write_text(text, encoding="utf-8")

    def _path(self, number: int) -> Path:
        return self._folder / f"{segment_stem(number)}.mp4"

    def _share(self, segment: Segment) -> float:
        return _VIDEO_SHARE * segment.frames / self.plan.schedule.frames

    def _report_progress(self, run: Sequence[int], done: float) -> None:
        for number in run:
            self._progress.report(segment_stem(number), done * self._share(self.segments[number]))

    def _mark_done(self, number: int) -> None:
        self._done.add(number)
        self._progress.report(segment_stem(number), self._share(self.segments[number]))
