"""The public keys that a provider signs its webhooks by, as it publishes them (JWKS)."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx2
import orjson

from callsheet.domain.errors import ProviderUnreachable
from callsheet.files.addresses import trusted_certificates
from callsheet.files.fetch import shown
from callsheet.providers.fresh import Fresh

Keys = list[Mapping[str, Any]]
R = TypeVar("R")

_TIMEOUT = httpx2.Timeout(10)
_MOST_BYTES = 2**20


class KeySet:
    """The keys at an address of the settings, fetched when first needed."""

    def __init__(self, url: str, **how_long: Any) -> None:
        self._url = url
        self._fresh: Fresh[Keys] = Fresh(self._load, **how_long)

    async def checked(self, check: Callable[[Keys], R]) -> R:
        """Return what `check` makes of the keys; tries newer ones when it raises BadWebhook.

        Raises BadWebhook, or ProviderUnreachable when there are no keys.
        """
        return await self._fresh.checked(check)

    async def _load(self) -> Keys:
        try:
            async with httpx2.AsyncClient(timeout=_TIMEOUT, verify=trusted_certificates()) as client:
                answer = await client.get(self._url)
        except httpx2.HTTPError as error:
            raise ProviderUnreachable(f"{shown(self._url)} did not answer: {type(error).__name__}") from error
        if answer.status_code != 200 or len(answer.content) > _MOST_BYTES:
            raise ProviderUnreachable(f"{shown(self._url)} answered {answer.status_code}, and no keys")
        try:
            read = orjson.loads(answer.content)
        except ValueError:
            read = None
        keys = read.get("keys") if isinstance(read, dict) else None
        if not isinstance(keys, list):
            raise ProviderUnreachable(f"{shown(self._url)} answered something that is no set of keys")
        return [key for key in keys if isinstance(key, dict)]
