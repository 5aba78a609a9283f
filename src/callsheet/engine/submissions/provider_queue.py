"""The polls of one provider: slots, concurrency, rate limit and backoff."""

import asyncio
import time

from callsheet.providers.contract import Provider
from callsheet.providers.http.rate_limiter import RateLimiter

MAX_CLAIMED = 100
"""Jobs per provider that are claimed at the same time."""
_MIN_FREE = 50
"""Free slots before more jobs are claimed, so that claims are few and large."""
_MAX_CONCURRENT = 16
"""Concurrent polls; the provider's own limits apply in addition."""
_MIN_BACKOFF = 1.0
_MAX_BACKOFF = 60.0


class ProviderQueue:
    """The claimed jobs of one provider, with its limits."""

    def __init__(self) -> None:
        self.claimed = 0
        self.semaphore = asyncio.Semaphore(_MAX_CONCURRENT)
        self.backoff = ProviderBackoff()
        self._rate_limiter: RateLimiter | None = None

    async def wait_for_rate_limit(self, provider: Provider) -> None:
        """Wait until the rate limit of the provider permits another poll."""
        if self._rate_limiter is None:
            self._rate_limiter = RateLimiter(provider.poll_policy.per_second)
        await self._rate_limiter.acquire()

    @property
    def free(self) -> int:
        """Number of free slots."""
        return MAX_CLAIMED - self.claimed

    @property
    def accepts_jobs(self) -> bool:
        """Whether more jobs should be claimed."""
        return self.free >= _MIN_FREE and not self.backoff.remaining


class ProviderBackoff:
    """Exponential backoff of a provider that does not respond or limits the rate."""

    def __init__(self) -> None:
        self._until = 0.0
        self._delay = 0.0

    @property
    def remaining(self) -> float:
        """Seconds until the end of the pause; 0 if there is none."""
        return max(0.0, self._until - time.monotonic())

    def start(self, min_delay: float | None) -> float:
        """Start a pause of at least `min_delay` seconds. Return its length in seconds."""
        # Concurrent polls that fail during one pause do not double it again.
        if not self.remaining:
            self._delay = min(_MAX_BACKOFF, max(_MIN_BACKOFF, self._delay * 2))
        delay = max(self._delay, min_delay or 0.0)
        self._until = max(self._until, time.monotonic() + delay)
        return delay

    def reset(self) -> None:
        """Forget earlier failures."""
        self._delay = 0.0
