"""Something of a provider's that seldom changes: kept for a day, asked for again when it does not fit."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from callsheet.domain.errors import BadWebhook, ProviderUnreachable

T = TypeVar("T")
R = TypeVar("R")

_LONGEST = 24 * 3600.0
_SHORTEST = 60.0


class Fresh(Generic[T]):
    """What `load` gives, kept for `longest` seconds, and asked for at most every `shortest` seconds."""

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
        self._asked: float | None = None

    async def checked(self, check: Callable[[T], R]) -> R:
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
        async with self._lock:
            now = self._clock()
            if self._asked is not None and now - self._asked < (oldest if self._held is not None else self._shortest):
                return self._known()
            self._asked = now
            try:
                self._held = await self._load()
            except ProviderUnreachable:
                if self._held is None:
                    raise
            return self._known()

    def _known(self) -> T:
        if self._held is None:
            raise ProviderUnreachable("What its webhooks are checked by could not be had a moment ago")
        return self._held
