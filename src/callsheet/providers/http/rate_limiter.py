"""So many a second, and no more."""

import asyncio
import time


class RateLimiter:
    """Lets so many through in a second, one after the other."""

    def __init__(self, per_second: float | None) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0

    async def acquire(self) -> None:
        """Return when it is the caller's turn."""
        if not self._gap:
            return
        now = time.monotonic()
        mine = max(now, self._next)
        self._next = mine + self._gap
        await asyncio.sleep(mine - now)
