"""Log of database outages: the first failure, then fewer and fewer lines, and the end."""

import time

import structlog

from callsheet.db.outages import TRANSIENT_ERRORS, outage_details

log = structlog.get_logger(__name__)

_MIN_INTERVAL, _MAX_INTERVAL = 1.0, 60.0
"""Seconds between two lines about one outage; doubled after each."""
_CALM = 60.0
"""Seconds without a failure after which a new one counts as a new outage."""


class OutageLog:
    """Writes the log lines about the outages of one database, for all code that uses it, from any thread."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last_failure = float("-inf")
        self._next_line = float("-inf")
        self._interval = _MIN_INTERVAL

    def failed(self, work: str, error: BaseException) -> None:
        """Report that `work` failed because of the database, and will be tried again."""
        now = time.monotonic()
        if now - self._last_failure > _CALM:
            self._interval, self._next_line = _MIN_INTERVAL, now
        self._last_failure = now
        if self._since is None:
            self._since = now
        record = log.warning if now >= self._next_line else log.debug
        message = (
            "database unavailable, retrying" if isinstance(error, TRANSIENT_ERRORS) else "database error, retrying"
        )
        record(message, work=work, error=outage_details(error), seconds=round(now - self._since))
        if now >= self._next_line:
            self._next_line = now + self._interval
            self._interval = min(2 * self._interval, _MAX_INTERVAL)

    def succeeded(self) -> None:
        """Report that the database has responded."""
        if self._since is not None:
            seconds, self._since = time.monotonic() - self._since, None
            log.info("database available again", seconds=round(seconds, 1))
