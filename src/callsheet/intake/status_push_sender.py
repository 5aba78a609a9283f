"""Sends statuses to the API of the product, in order for each job, and repeats what fails.

All pushes go to one API. While it is down, one request at a time is tried, so that an outage costs neither the API nor
the database much; what was not tried yet is not given up.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
import structlog

from callsheet.db.database import Database
from callsheet.db.group_commit import GroupCommit
from callsheet.db.outages import DATABASE_ERRORS
from callsheet.db.statements import sql
from callsheet.http_clients import async_client
from callsheet.notify.delivery import DeliveryResult, deliver
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_MAX_CONCURRENT = 32
"""Requests of a process at the same time."""
_DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds of delay after the first attempt, the second, …"""
_JITTER = 0.2
"""Relative jitter."""
_MAX_RETRY_AFTER = 60.0
"""Longest delay that the API can request, in seconds."""
_FAILURES_BEFORE_PAUSE = 3
"""Failures in a row after which the API counts as down."""
_MAX_PAUSE = 10.0
"""Seconds between two requests to an API that is down."""
_POLL_INTERVAL = 1.0
"""Seconds between two checks for due pushes when nothing is due."""
_MIN_INTERVAL = 0.02
"""Seconds between two checks for due pushes."""
_LEASE_MARGIN = 15.0
"""Seconds by which the lease of a claimed push exceeds the request timeout."""
_STOP_TIMEOUT = 3.0
"""Seconds in which a stopping process finishes its requests."""
_TOO_MANY_REQUESTS = 429
_REPEATABLE = frozenset({401, 403, 407, 408, 409, 421, 423, 425, _TOO_MANY_REQUESTS})
"""Client errors after which another attempt can succeed: the login is mended, or the API was busy."""


class _Api:
    """What is known about the API of the product: whether it is up."""

    def __init__(self) -> None:
        self._failures = 0
        """Failures one after the other; requests that failed together count once."""
        self._failed_at = 0.0
        self._paused_until = 0.0

    def room(self, running: int) -> int:
        """Return the number of further requests that may start now."""
        if time.monotonic() < self._paused_until:
            return 0
        return max(0, (1 if self._failures >= _FAILURES_BEFORE_PAUSE else _MAX_CONCURRENT) - running)

    def note(self, result: DeliveryResult) -> None:
        """Note the result of a request. Any response about the job itself shows that the API is up."""
        now = time.monotonic()
        if not is_outage(result):
            self._failures, self._paused_until = 0, 0.0
        elif now - result.duration >= self._failed_at:
            self._failures, self._failed_at = self._failures + 1, now
            if (beyond := self._failures - _FAILURES_BEFORE_PAUSE) >= 0:
                self._paused_until = now + min(_MAX_PAUSE, 2.0 ** min(beyond, 8))


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A finished attempt, to be stored."""

    number: int
    result: DeliveryResult
    delay: float | None
    """Seconds until the next attempt; None: none follows."""


class StatusPushSender:
    """Sends due pushes until it is cancelled. Several processes can run one each.

    Delivery is at least once: when a process ends during a request, the push is sent again after its lease.
    """

    def __init__(
        self, database: Database, settings: Settings, intake: str, *, on_error: Callable[[str], None] = lambda _: None
    ) -> None:
        """`on_error` receives the error of each attempt that failed."""
        token = settings.status_push_token
        self._database = database
        self._intake = intake
        self._url = settings.status_push_url
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._timeout = settings.status_push_timeout.total_seconds()
        self._retry_for = settings.status_push_retry_for.total_seconds()
        self._on_error = on_error
        self._api = _Api()
        self._wake = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()
        self._attempts: GroupCommit[_Attempt, None] = GroupCommit(self._write_attempts, max_size=_MAX_CONCURRENT)

    def wake(self) -> None:
        """Look for due pushes now: one was stored."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled. Requests that have begun are finished."""
        async with async_client(timeout=self._timeout, limits=httpx2.Limits(max_connections=_MAX_CONCURRENT)) as client:
            try:
                while True:
                    self._wake.clear()
                    await self._send_due(client)
                    await asyncio.sleep(_MIN_INTERVAL)
                    await self._wait()
            finally:
                await self._end()

    async def _wait(self) -> None:
        # Not wait_for: in Python 3.11 it can lose a cancellation.
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_INTERVAL):
                await self._wake.wait()

    async def _send_due(self, client: httpx2.AsyncClient) -> None:
        room = self._api.room(len(self._requests))
        if not room:
            return
        try:
            rows = await self._database.retry(
                lambda c: sql.claim_status_pushes(
                    c, intake=self._intake, lease=self._timeout + _LEASE_MARGIN, limit=room
                ),
                timeout=5,
            )
        except DATABASE_ERRORS as error:
            self._database.outage.failed("claim status pushes", error)
            return
        for row in rows:
            task = asyncio.create_task(self._send(client, row), name=f"status push {row['number']}")
            self._requests.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        self._wake.set()

    async def _send(self, client: httpx2.AsyncClient, row: Any) -> None:
        url = f"{self._url}/jobs/{quote(row['product_id'], safe='')}"
        body = row["body"].encode()
        result = await deliver(client, url, body, self._headers, timeout=self._timeout, method="PATCH")
        self._api.note(result)
        delay = self._delay(result, row)
        self._report(result, row, delay)
        try:
            await self._attempts.write(_Attempt(row["number"], result, delay))
        except DATABASE_ERRORS as error:
            # It is sent again after its lease.
            self._database.outage.failed("store a status push", error)

    def _delay(self, result: DeliveryResult, row: Any) -> float | None:
        """Return the seconds until the next attempt; None if none follows."""
        if result.delivered or is_final(result) or row["age"] >= self._retry_for:
            return None
        delay = _DELAYS[min(row["attempts"], len(_DELAYS)) - 1] * random.uniform(1, 1 + _JITTER)  # noqa: S311 - jitter
        return max(delay, min(result.retry_after or 0.0, _MAX_RETRY_AFTER))

    def _report(self, result: DeliveryResult, row: Any, delay: float | None) -> None:
        facts = {
            "job": row["product_id"],
            "status": row["status"],
            "attempt": row["attempts"],
            "response": result.message,
        }
        if result.delivered:
            log.debug("status pushed", **facts)
            return
        self._on_error(f"status push of job {row['product_id']}: {result.message}")
        if delay is None:
            log.warning("status push given up", **facts)
        else:
            log.info("status push failed, will retry", delay=round(delay, 1), **facts)

    async def _write_attempts(self, attempts: list[_Attempt]) -> list[None]:
        await self._database.retry(
            lambda c: sql.record_status_push_attempts(
                c,
                numbers=[each.number for each in attempts],
                responses=[each.result.message for each in attempts],
                delivered=[each.result.delivered for each in attempts],
                delays=[each.delay for each in attempts],
            )
        )
        return [None] * len(attempts)

    async def _end(self) -> None:
        if self._requests:
            await asyncio.wait(self._requests, timeout=_STOP_TIMEOUT)
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)


def is_outage(result: DeliveryResult) -> bool:
    """Return whether the API itself does not work, whatever the job."""
    return result.status is None or result.status >= 500 or result.status == _TOO_MANY_REQUESTS


def is_final(result: DeliveryResult) -> bool:
    """Return whether the API refuses a push for good: it does not know the job, or does not accept the body."""
    status = result.status
    return result.final or (status is not None and 400 <= status < 500 and status not in _REPEATABLE)
