"""Repeats the calls of an intake to its source until they succeed."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from callsheet.intake.contract import SourceUnavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

_MIN_DELAY, _MAX_DELAY = 0.1, 10.0
"""Seconds between two tries while the source does not respond; doubled after each."""
_MAX_FAULT_DELAY = 60.0
"""Seconds between two tries after an unexpected error."""
_LOG_INTERVAL = 30.0
"""Seconds between two log lines about the same kind of call."""


class SourceRetries:
    """Repeats calls. `on_error` receives each error."""

    def __init__(self, intake: str, on_error: Callable[[BaseException], None]) -> None:
        self._intake = intake
        self._on_error = on_error
        self._last_line: dict[str, float] = {}

    async def repeat(self, work: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it succeeds. An unexpected error is logged with its traceback, and repeated as well."""
        delay = _MIN_DELAY
        while True:
            try:
                return await call()
            except SourceUnavailable as error:
                limit = _MAX_DELAY
                self.report(work, error)
            except Exception as error:  # noqa: BLE001 - an intake can be anybody's code
                limit = _MAX_FAULT_DELAY
                self.report(work, error)
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(delay * 2, limit)

    def report(self, work: str, error: Exception) -> None:
        """Log a failed call, at most twice a minute for each kind of work."""
        self._on_error(error)
        now = time.monotonic()
        if now - self._last_line.get(work, float("-inf")) < _LOG_INTERVAL:
            return
        self._last_line[work] = now
        if isinstance(error, SourceUnavailable):
            log.warning("the source does not respond, retrying", intake=self._intake, work=work, error=str(error))
        else:
            log.error("an intake failed, retrying", intake=self._intake, work=work, exc_info=error)
