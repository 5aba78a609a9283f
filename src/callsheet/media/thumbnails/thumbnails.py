"""Thumbnails script: extracts images from a video in a child process, as `python thumbnails.py REQUEST`.

REQUEST is a `StillsJob` as JSON. See `subprocess_protocol` for the output. The script is run by its path, and imports
few modules, so that it starts quickly. A malicious file may crash it.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame

from callsheet.media.thumbnails.animation import make_animation
from callsheet.media.thumbnails.display_image import display_image, save_image
from callsheet.media.thumbnails.frame_score import frame_score
from callsheet.media.thumbnails.preview_requests import (
    Accuracy,
    AnimationResult,
    FrameResult,
    FramesRequest,
    FramesResult,
    PosterRequest,
    ProgressCallback,
    SpriteResult,
    StillsJob,
    StillsResult,
)
from callsheet.media.thumbnails.sample_times import sample_times
from callsheet.media.thumbnails.scene_changes import scene_changes
from callsheet.media.thumbnails.sprite import SpriteSheets, draw_sprite
from callsheet.media.thumbnails.subprocess_protocol import ProgressReporter, open_source, run_request
from callsheet.media.thumbnails.video_reader import VideoReader

_POSTER_SIDE = 1920
_SCORED_SIDE = 320
_MIN_POSTER_CANDIDATES = 12
_TOLERANCES: dict[Accuracy, float] = {"keyframe": float("inf"), "exact": 0.0}
"""Seconds by which a key frame may precede the requested time. `auto` depends on the distance of the frames."""


def main(data: dict[str, Any]) -> dict[str, Any]:
    """Extract the requested images, and return a `StillsResult` as JSON."""
    job = StillsJob.from_json(data)
    with open_source(job.source) as container:
        source = job.source
        reader = VideoReader(
            container,
            max_pixels=job.max_pixels,
            threads=job.threads,
            index=source.stream,
            start=source.start,
            decoder=source.decoder,
        )
        return asdict(_Extraction(reader, job).run())


class _Extraction:
    def __init__(self, reader: VideoReader, job: StillsJob) -> None:
        self._reader = reader
        self._request = job.request
        self._folder = Path(job.folder)

    def run(self) -> StillsResult:
        request = self._request
        parts = [part for part in (request.frames, request.poster, request.sprite, request.animation) if part]
        progress = _PartProgress(len(parts))
        frames = self._extract_frames(request.frames, progress.next_part()) if request.frames else None
        poster = self._save_poster(request.poster, frames, progress.next_part()) if request.poster else None
        sprite = self._draw_sprite(progress.next_part()) if request.sprite else None
        animation = self._make_animation(progress.next_part()) if request.animation else None
        return StillsResult(frames, poster, sprite, animation)

    def _extract_frames(self, request: FramesRequest, on_progress: ProgressCallback) -> FramesResult:
        times, tolerance, requested = self._frame_times(request, lambda done: on_progress(done / 2))
        frames: list[FrameResult] = []
        used: set[float] = set()
        progress_start = 0.5 if request.at else 0.0  # the search for scene changes is the first half
        for index, wanted in enumerate(times):
            frame, time = self._reader.frame_at(wanted, tolerance)
            if request.times or time not in used:  # two sample times may share a key frame
                used.add(time)
                frames.append(self._save_frame(frame, time, len(frames) + 1, request.width))
            on_progress(progress_start + (1 - progress_start) * (index + 1) / len(times))
        return FramesResult(frames, requested)

    def _save_frame(self, frame: VideoFrame, time: float, number: int, width: int) -> FrameResult:
        image = display_image(frame, self._reader.shape, width)
        path = save_image(image, self._folder, f"frame-{number:03d}", self._request.format)
        needs_score = self._request.poster is not None and self._request.poster.time is None
        return FrameResult(path.name, time, self._score(frame) if needs_score else None)

    def _frame_times(self, request: FramesRequest, on_progress: ProgressCallback) -> tuple[list[float], float, int]:
        """Return the times of the frames, the tolerance for key frames, and the requested number of frames."""
        reader, accuracy = self._reader, self._request.accuracy
        if request.times:
            return request.times, _TOLERANCES.get(accuracy, 0.0), len(request.times)
        if request.at is not None:
            changes = scene_changes(reader, request.threshold, accuracy, on_progress)
            largest = sorted(changes, key=lambda change: -change[1])[: request.limit - 1]
            return [0.0, *sorted(time for time, _ in largest if time > 0)], 0.0, len(changes) + 1
        times, requested = sample_times(reader.duration, request.count, request.interval, request.limit)
        distance = times[1] - times[0] if len(times) > 1 else reader.duration
        return times, _TOLERANCES.get(accuracy, distance / 4), requested

    def _save_poster(self, request: PosterRequest, frames: FramesResult | None, on_progress: ProgressCallback) -> str:
        """Save one large image: the frame at the requested time, or the best frame."""
        time = self._best_time(frames, on_progress) if request.time is None else request.time
        frame, _ = self._reader.frame_at(time)
        image = display_image(frame, self._reader.shape, max_side=_POSTER_SIDE)
        return save_image(image, self._folder, "poster", self._request.format).name

    def _best_time(self, frames: FramesResult | None, on_progress: ProgressCallback) -> float:
        extracted = frames.frames if frames else []
        candidates = [(frame.score or 0.0, frame.time) for frame in extracted]
        if len(extracted) < _MIN_POSTER_CANDIDATES:
            candidates += self._score_key_frames(_MIN_POSTER_CANDIDATES - len(extracted), on_progress)
        return max(candidates)[1]

    def _score_key_frames(self, count: int, on_progress: ProgressCallback) -> list[tuple[float, float]]:
        """Return the scores and times of key frames at `count` sample times."""
        scored = []
        for index, wanted in enumerate(sample_times(self._reader.duration, count, None, count)[0]):
            frame, time = self._reader.frame_at(wanted, float("inf"))
            scored.append((self._score(frame), time))
            on_progress((index + 1) / count)
        return scored

    def _score(self, frame: VideoFrame) -> float:
        return frame_score(display_image(frame, self._reader.shape, max_side=_SCORED_SIDE))

    def _draw_sprite(self, on_progress: ProgressCallback) -> SpriteResult:
        request = self._request.sprite
        assert request is not None  # noqa: S101 - the caller checks it
        sheets = SpriteSheets(self._folder, self._request.format, request.columns)
        return draw_sprite(self._reader, request, sheets, _TOLERANCES.get(self._request.accuracy), on_progress)

    def _make_animation(self, on_progress: ProgressCallback) -> AnimationResult:
        request = self._request.animation
        assert request is not None  # noqa: S101 - the caller checks it
        return make_animation(self._reader, request, self._folder, on_progress)


class _PartProgress:
    """Combines the progress of several equal parts."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._started = 0
        self._report = ProgressReporter()

    def next_part(self) -> Callable[[float], None]:
        index = self._started
        self._started += 1
        return partial(self._report_part, index)

    def _report_part(self, index: int, done: float) -> None:
        self._report((index + done) / self._count)


if __name__ == "__main__":
    run_request(main)
