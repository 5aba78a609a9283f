"""How far a film is that many runs of FFmpeg make together."""

import time
from collections.abc import Callable

from callsheet.media.ffmpeg.progress import FFmpegProgress


class ProgressAggregator:
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
        self._tell(FFmpegProgress(self._share, *self._pace()))

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
