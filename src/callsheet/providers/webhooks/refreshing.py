"""Something of a provider's that seldom changes: kept for a day, asked for again when it does not fit."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from callsheet.domain.errors import BadWebhook, ProviderRateLimited, ProviderUnreachable

T = TypeVar("T")
R = TypeVar("R")

_LONGEST = 24 * 3600.0
_SHORTEST = 60.0


class RefreshingValue(Generic[T]):
    """What `load` gives, kept for `longest` seconds, and asked for at most every `shortest` seconds.

    Where it cannot be had, the last one counts until it can.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[T]],
        *,
        longest: float = _LONGEST,
        shortest: float = _SHORTEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._longest = longest
        self._shortest = shortest
        self._clock = clock
        self._lock = asyncio.Lock()
        self._held: T | None = None
        self._got = self._asked = -math.inf

    async def verify(self, check: Callable[[T], R]) -> R:
        """Return what `check` makes of it; when that is BadWebhook, once more with a newer one, if that may be asked.

        Raises BadWebhook, or ProviderUnreachable when there is none yet.
        """
        held = await self._get(self._longest)
        try:
            return check(held)
        except BadWebhook:
            newer = await self._get(self._shortest)
            if newer == held:
                raise
            return check(newer)

    async def _get(self, oldest: float) -> T:
        # What is young enough is had at once, though somebody may be asking for a newer one.
        if self._held is not None and self._clock() - self._got < oldest:
            return self._held
        async with self._lock:
            if self._clock() - max(self._got, self._asked) >= self._shortest:
                await self._ask()
        if self._held is None:
            raise ProviderUnreachable("What its webhooks are checked by could not be had a moment ago")
        return self._held

    async def _ask(self) -> None:
        self._asked = self._clock()
        try:
            self._held = await self._load()
        except (ProviderUnreachable, ProviderRateLimited) as error:
            if self._held is None:
                raise ProviderUnreachable(error.message, retry_after=error.retry_after) from error
        else:
            self._got = self._asked
