"""How far a run of FFmpeg is, and when it will be done."""

from collections.abc import Callable
from typing import Self

from callsheet.domain.errors import FFmpegFailed

_NO_TIME = 2.0**62
"""Microseconds"""
_OVERRUN = 2.0
_OVERRUN_SECONDS = 60.0


class FFmpegProgress(float):
    """The share done, from 0 to 1, with how fast it goes."""

    speed: float | None
    """Seconds of output for each second of work."""
    remaining: float | None
    """Seconds of work still to do."""

    def __new__(cls, share: float, speed: float | None = None, left: float | None = None) -> Self:
        """Take the share for the value."""
        self = super().__new__(cls, share)
        self.speed = speed
        self.remaining = left
        return self

    @property
    def summary(self) -> str | None:
        """The speed and the time left, as people read them: `2.3x, 0:41 left`."""
        if self.speed is None or self.remaining is None:
            return None
        return f"{self.speed:.{1 if self.speed < 9.95 else 0}f}x, {format_duration(self.remaining)} left"


def format_duration(seconds: float) -> str:
    """Return a length as `0:41`, or `1:02:05` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def is_overrun(seconds: float, told: float) -> bool:
    """Tell whether something is so much longer than was told that it cannot be a matter of rounding or damage."""
    return seconds > told * _OVERRUN + _OVERRUN_SECONDS


class ProgressReader:
    """What the reports on FFmpeg's progress pipe say so far; `duration` is the planned seconds of output."""

    def __init__(self, duration: float | None, tell: Callable[[FFmpegProgress], None] | None) -> None:
        self.seconds = 0.0
        self.frames: int | None = None
        self.speed: float | None = None
        self._duration = duration
        self._tell = tell
        self._told = -1.0
        self._mark: tuple[str, ...] = ()
        self._seen: dict[str, str] = {}

    def read(self, line: str) -> bool:
        """Take one `key=value` line; True when it ends a report that shows headway.

        Raises FFmpegFailed when far more is written than was planned: a file may tell a wrong length on purpose.
        """
        key, _, value = line.partition("=")
        if key != "progress":
            self._seen[key] = value
            return False
        self.seconds = max(self.seconds, _seconds(self._seen.get("out_time_us")))
        self.speed = _number(self._seen.get("speed", "").rstrip("x")) or None
        if "frame" in self._seen:
            self.frames = int(_number(self._seen["frame"]))
        if self._duration:
            self._judge(self._duration)
        mark = tuple(self._seen.get(name, "") for name in ("frame", "out_time_us", "total_size"))
        moved, self._mark = mark != self._mark, mark
        return moved

    def finish(self) -> None:
        """Tell that all is done."""
        self._report(FFmpegProgress(1.0, self.speed, 0.0))

    def _judge(self, duration: float) -> None:
        if is_overrun(self.seconds, duration):
            raise FFmpegFailed(
                f"the output goes on beyond {format_duration(self.seconds)}, though only {format_duration(duration)} was planned: "
                "the source does not tell its true length"
            )
        left = max(0.0, duration - self.seconds) / self.speed if self.speed else None
        self._report(FFmpegProgress(min(0.99, self.seconds / duration), self.speed, left))

    def _report(self, progress: FFmpegProgress) -> None:
        if self._tell is not None and progress > self._told:
            self._told = progress
            self._tell(progress)


def _seconds(text: str | None) -> float:
    time = _number(text)
    # Before the first picture is out, some builds write the largest number there is.
    return 0.0 if time >= _NO_TIME else time / 1e6


def _number(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:  # FFmpeg writes N/A for what it does not know
        return 0.0
