"""Shares of the receivers of webhooks: how many deliveries each may have at a time, and when it gets the next ones.

One receiver that is slow or down must not hold up the others. So a URL has a few deliveries at a time, and a host has
at most half as many as are free for all others. A webhook that has to wait is postponed to the time at which its turn
is likely, so that the next query for due webhooks does not read it again. A URL that failed several times in a row
gets one delivery at a time, after a pause that grows, until one succeeds.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

MAX_CONCURRENT = 400
"""Deliveries of a process at the same time."""
_MAX_PER_URL = 16
_FAILURES_BEFORE_PAUSE = 3
"""Failures in a row after which a URL is paused."""
_MAX_PAUSE = 60.0
"""Seconds. A webhook is not postponed for longer at once, so that a receiver that recovers is noticed."""
_MAX_RETRY_AFTER = 900.0
"""Longest pause that a receiver can request for all of its webhooks, in seconds."""
_FIRST_DURATION = 0.05
"""Assumed seconds of a delivery before any was measured."""
_MAX_KNOWN = 10_000
"""Failing URLs that are remembered."""


@dataclass(slots=True)
class _Share:
    """The deliveries of one URL or one host."""

    running: dict[UUID, float] = field(default_factory=dict)
    """Webhook → start of its delivery."""
    duration: float = _FIRST_DURATION
    """Typical seconds of a delivery."""
    next_turn: float = 0.0
    """When the next postponed webhook is due."""
    failures: int = 0
    """Failures in a row."""
    paused_until: float = 0.0

    def postpone(self, now: float, limit: float) -> float:
        """Return the delay in seconds until a further webhook is likely to have its turn."""
        oldest = min(self.running.values(), default=now)
        # Half of it: too early costs one more update of a row, too late leaves slots unused.
        pace = max(self.duration, now - oldest) / max(1, limit) / 2
        self.next_turn = min(
            max(now, self.next_turn, self.paused_until) + pace, max(now, self.paused_until) + _MAX_PAUSE
        )
        return self.next_turn - now

    def finished(self, webhook: UUID, now: float) -> None:
        self.duration += (now - self.running.pop(webhook) - self.duration) / 4


class Receivers:
    """The shares of all receivers, in the memory of one process."""

    def __init__(self, *, max_concurrent: int = MAX_CONCURRENT, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_concurrent = max_concurrent
        self._clock = clock
        self._running = 0
        self._urls: OrderedDict[str, _Share] = OrderedDict()
        self._hosts: dict[str, _Share] = {}

    @property
    def free(self) -> int:
        """The number of further deliveries that this process may start."""
        return self._max_concurrent - self._running

    def start(self, webhook: UUID, url: str) -> float | None:
        """Start the delivery of a webhook. Return None, or the seconds after which to try again."""
        now, (url_key, host_key) = self._clock(), _keys(url)
        share = self._urls.setdefault(url_key, _Share())
        host = self._hosts.setdefault(host_key, _Share())
        limit = 1 if share.failures >= _FAILURES_BEFORE_PAUSE else _MAX_PER_URL
        if now < share.paused_until or len(share.running) >= limit:
            return share.postpone(now, limit)
        if len(host.running) >= (host_limit := self.free / 2):
            return host.postpone(now, host_limit)
        share.running[webhook] = host.running[webhook] = now
        self._running += 1
        return None

    def finish(self, webhook: UUID, url: str, *, delivered: bool, retry_after: float | None = None) -> None:
        """End a delivery. `retry_after` are the seconds that the receiver asked to wait."""
        now, (url_key, host_key) = self._clock(), _keys(url)
        share, host = self._urls[url_key], self._hosts[host_key]
        share.finished(webhook, now)
        host.finished(webhook, now)
        self._running -= 1
        share.failures = 0 if delivered else share.failures + 1
        pause = 0.0 if delivered else min(retry_after or 0.0, _MAX_RETRY_AFTER)
        if share.failures >= _FAILURES_BEFORE_PAUSE:
            pause = max(pause, min(_MAX_PAUSE, 2.0 ** min(share.failures - _FAILURES_BEFORE_PAUSE, 16)))
        share.paused_until = now + pause
        self._forget(url_key, host_key)

    def abandon(self, webhook: UUID, url: str) -> None:
        """Take back a start whose claim could not be stored."""
        for key, shares in zip(_keys(url), (self._urls, self._hosts), strict=True):
            del shares[key].running[webhook]
        self._running -= 1

    def _forget(self, url_key: str, host_key: str) -> None:
        """Remove what is idle and has nothing to remember, and the failing URLs that were not used for longest."""
        share = self._urls[url_key]
        self._urls.move_to_end(url_key)
        if not share.running and not share.failures:
            del self._urls[url_key]
        if not self._hosts[host_key].running:
            del self._hosts[host_key]
        while len(self._urls) > _MAX_KNOWN and not (oldest := next(iter(self._urls.items())))[1].running:
            del self._urls[oldest[0]]


def _keys(url: str) -> tuple[str, str]:
    """Return the URL without its query, which can differ from webhook to webhook, and the host with its port."""
    return url.partition("?")[0], urlsplit(url).netloc.lower()
