"""Rate limiter."""

import asyncio
import time


class RateLimiter:
    """Limits calls to a rate, evenly spaced; None: no limit."""

    def __init__(self, per_second: float | None) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._next = 0.0

    async def acquire(self) -> None:
        """Wait for the next free time slot."""
        if not self._interval:
            return
        now = time.monotonic()
        slot = max(now, self._next)
        self._next = slot + self._interval
        await asyncio.sleep(slot - now)
