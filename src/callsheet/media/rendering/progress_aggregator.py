"""Progress of a render that consists of several FFmpeg commands."""

import time
from collections.abc import Callable

from callsheet.media.ffmpeg.progress import FFmpegProgress


class ProgressAggregator:
    """Adds up the progress of several commands, and reports it with their joint speed and the time left.

    `seconds` is the duration of the video.
    """

    def __init__(self, on_progress: Callable[[float], None], seconds: float) -> None:
        self._on_progress = on_progress
        self._seconds = seconds
        self._done: dict[str, float] = {}
        self._started: tuple[float, float] | None = None
        """The time at which encoding started, and the share that was done by then."""

    def start(self) -> None:
        """Start to measure the speed. What is already done, such as cached segments, does not count."""
        self._started = time.monotonic(), self._total_done

    def report(self, name: str, done: float) -> None:
        """Record the share of the whole that one command has done, and report the total."""
        self._done[name] = max(done, self._done.get(name, 0.0))
        self._on_progress(FFmpegProgress(self._total_done, *self._speed_and_time_left()))

    @property
    def _total_done(self) -> float:
        return min(0.99, sum(self._done.values()))

    def _speed_and_time_left(self) -> tuple[float, float] | tuple[None, None]:
        if self._started is None:
            return None, None
        elapsed, done = time.monotonic() - self._started[0], self._total_done - self._started[1]
        if elapsed < 1 or done <= 0:
            return None, None
        return done * self._seconds / elapsed, (1 - self._total_done) * elapsed / done
