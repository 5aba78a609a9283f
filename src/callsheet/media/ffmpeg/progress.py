"""Parse the progress reports of FFmpeg: share done, speed and remaining time."""

from collections.abc import Callable
from typing import Self

from callsheet.domain.errors import FFmpegFailed

_NO_TIME = 2.0**62
"""Microseconds. Larger values mean that FFmpeg has not written a frame yet."""
_OVERRUN_FACTOR = 2.0
_OVERRUN_SECONDS = 60.0


class FFmpegProgress(float):
    """The share done, from 0 to 1, with the speed and the remaining time."""

    speed: float | None
    """Seconds of output per second of run time."""
    remaining: float | None
    """Estimated run time left, in seconds."""

    def __new__(cls, share: float, speed: float | None = None, remaining: float | None = None) -> Self:
        """Create a float of the value `share`."""
        self = super().__new__(cls, share)
        self.speed = speed
        self.remaining = remaining
        return self

    @property
    def summary(self) -> str | None:
        """The speed and the remaining time as text: `2.3x, 0:41 left`. None if they are unknown."""
        if self.speed is None or self.remaining is None:
            return None
        return f"{self.speed:.{1 if self.speed < 9.95 else 0}f}x, {format_duration(self.remaining)} left"


def format_duration(seconds: float) -> str:
    """Return a duration as `0:41`, or `1:02:05` from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def is_overrun(seconds: float, stated: float) -> bool:
    """Return whether a duration exceeds the stated one by more than rounding or damage can explain."""
    return seconds > stated * _OVERRUN_FACTOR + _OVERRUN_SECONDS


class ProgressReader:
    """Reads FFmpeg's progress pipe. `duration` is the planned output in seconds."""

    def __init__(self, duration: float | None, on_progress: Callable[[FFmpegProgress], None] | None) -> None:
        self.seconds = 0.0
        self.frames: int | None = None
        self.speed: float | None = None
        self._duration = duration
        self._on_progress = on_progress
        self._reported = -1.0
        self._position: tuple[str, ...] = ()
        self._fields: dict[str, str] = {}

    def read(self, line: str) -> bool:
        """Read one `key=value` line. Return True if it ends a report that differs from the one before.

        Raises FFmpegFailed if the output far exceeds the planned duration: a file may state a wrong duration on
        purpose.
        """
        key, _, value = line.partition("=")
        if key != "progress":
            self._fields[key] = value
            return False
        self.seconds = max(self.seconds, _seconds(self._fields.get("out_time_us")))
        self.speed = _number(self._fields.get("speed", "").rstrip("x")) or None
        if "frame" in self._fields:
            self.frames = int(_number(self._fields["frame"]))
        if self._duration:
            self._report_share(self._duration)
        position = tuple(self._fields.get(name, "") for name in ("frame", "out_time_us", "total_size"))
        advanced, self._position = position != self._position, position
        return advanced

    def finish(self) -> None:
        """Report that the run is complete."""
        self._report(FFmpegProgress(1.0, self.speed, 0.0))

    def _report_share(self, duration: float) -> None:
        if is_overrun(self.seconds, duration):
            raise FFmpegFailed(
                f"the output exceeds {format_duration(self.seconds)} of {format_duration(duration)} planned: "
                "the source states a wrong duration"
            )
        remaining = max(0.0, duration - self.seconds) / self.speed if self.speed else None
        self._report(FFmpegProgress(min(0.99, self.seconds / duration), self.speed, remaining))

    def _report(self, progress: FFmpegProgress) -> None:
        if self._on_progress is not None and progress > self._reported:
            self._reported = progress
            self._on_progress(progress)


def _seconds(text: str | None) -> float:
    microseconds = _number(text)
    # Until the first frame is written, some builds report the largest integer.
    return 0.0 if microseconds >= _NO_TIME else microseconds / 1e6


def _number(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:  # FFmpeg writes N/A for unknown values
        return 0.0
