"""Cache of a slowly changing value (webhook secret, JWKS): 24 hours, refreshed once after a failed check."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from callsheet.domain.errors import BadWebhook, ProviderRateLimited, ProviderUnreachable

T = TypeVar("T")
R = TypeVar("R")

_MAX_AGE = 24 * 3600.0
_MIN_INTERVAL = 60.0


class RefreshingValue(Generic[T]):
    """The result of `load`, cached for `max_age` seconds and loaded at most every `min_interval` seconds.

    While loading fails, the last value stays valid.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[T]],
        *,
        max_age: float = _MAX_AGE,
        min_interval: float = _MIN_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._max_age = max_age
        self._min_interval = min_interval
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._loaded_at = self._tried_at = -math.inf

    async def verify(self, check: Callable[[T], R]) -> R:
        """Return the result of `check` with the value; after a BadWebhook, repeat it once with a refreshed value.

        Raises BadWebhook, or ProviderUnreachable when no value could be loaded yet.
        """
        value = await self._get(self._max_age)
        try:
            return check(value)
        except BadWebhook:
            refreshed = await self._get(self._min_interval)
            if refreshed == value:
                raise
            return check(refreshed)

    async def _get(self, max_age: float) -> T:
        # Before the lock: a value that is recent enough needs no waiting for a refresh that is in progress.
        if self._value is not None and self._clock() - self._loaded_at < max_age:
            return self._value
        async with self._lock:
            if self._clock() - max(self._loaded_at, self._tried_at) >= self._min_interval:
                await self._refresh()
        if self._value is None:
            raise ProviderUnreachable("The webhook signing keys could not be fetched; the next attempt is in a minute")
        return self._value

    async def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            self._value = await self._load()
        except (ProviderUnreachable, ProviderRateLimited) as error:
            if self._value is None:
                raise ProviderUnreachable(error.message, retry_after=error.retry_after) from error
        else:
            self._loaded_at = self._tried_at
