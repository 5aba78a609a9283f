"""The public keys that a provider signs its webhooks by, as it publishes them (JWKS)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx2
import orjson

from callsheet.domain.errors import ProviderUnreachable
from callsheet.files.fetch import redact_url
from callsheet.files.ssrf_guard import tls_context
from callsheet.providers.webhooks.refreshing import RefreshingValue

Keys = list[Mapping[str, Any]]
R = TypeVar("R")

_PATIENCE = 10.0
"""Seconds for the whole answer."""
_MOST_BYTES = 2**20


class Jwks:
    """The keys at an address of the settings, fetched when first needed."""

    def __init__(self, url: str, **how_long: Any) -> None:
        self._url = url
        self._fresh: RefreshingValue[Keys] = RefreshingValue(self._load, **how_long)

    async def verify(self, check: Callable[[Keys], R]) -> R:
        """Return what `check` makes of the keys; tries newer ones when it raises BadWebhook.

        Raises BadWebhook, or ProviderUnreachable when there are no keys.
        """
        return await self._fresh.verify(check)

    async def _load(self) -> Keys:
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                httpx2.AsyncClient(timeout=_PATIENCE, verify=tls_context()) as client,
                client.stream("GET", self._url) as answer,
            ):
                status, body = answer.status_code, await _beginning(answer)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ProviderUnreachable(f"{redact_url(self._url)} did not answer: {type(error).__name__}") from error
        if status != 200 or len(body) > _MOST_BYTES:
            raise ProviderUnreachable(f"{redact_url(self._url)} answered {status}, and no keys")
        try:
            read = orjson.loads(body)
        except ValueError:
            read = None
        keys = read.get("keys") if isinstance(read, dict) else None
        if not isinstance(keys, list):
            raise ProviderUnreachable(f"{redact_url(self._url)} answered something that is no set of keys")
        return [key for key in keys if isinstance(key, dict)]


async def _beginning(answer: httpx2.Response) -> bytes:
    """Return a body, and of one that is too large no more than it takes to see that."""
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            break
    return bytes(body)
