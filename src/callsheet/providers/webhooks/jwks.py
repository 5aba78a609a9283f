"""Public webhook keys of a provider (JWKS)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx2
import orjson

from callsheet.domain.document_limits import check_size
from callsheet.domain.errors import ProviderUnreachable
from callsheet.files.fetch import redact_url
from callsheet.http_clients import async_client, describe_error
from callsheet.providers.webhooks.refreshing import RefreshingValue

Keys = list[Mapping[str, Any]]
R = TypeVar("R")

_TIMEOUT = 10.0
"""Seconds for the complete response."""
_MAX_BYTES = 2**20


class Jwks:
    """The keys at a URL, fetched on first use. `cache` are the keyword arguments of RefreshingValue."""

    def __init__(self, url: str, **cache: Any) -> None:
        self._url = url
        self._keys: RefreshingValue[Keys] = RefreshingValue(self._load, **cache)

    async def verify(self, check: Callable[[Keys], R]) -> R:
        """Return the result of `check` with the keys; after a BadWebhook, repeat it once with refreshed keys.

        Raises BadWebhook, or ProviderUnreachable when no keys are available.
        """
        return await self._keys.verify(check)

    async def _load(self) -> Keys:
        try:
            async with (
                asyncio.timeout(_TIMEOUT),
                async_client(timeout=_TIMEOUT) as client,
                client.stream("GET", self._url) as response,
            ):
                status, body = response.status_code, await _read_limited(response)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ProviderUnreachable(f"{redact_url(self._url)} did not respond: {describe_error(error)}") from error
        if status != 200 or len(body) > _MAX_BYTES:
            raise ProviderUnreachable(f"{redact_url(self._url)} responded with {status} and without keys")
        try:
            parsed = orjson.loads(body)
            check_size(parsed)
        except ValueError:
            parsed = None
        keys = parsed.get("keys") if isinstance(parsed, dict) else None
        if not isinstance(keys, list):
            raise ProviderUnreachable(f"{redact_url(self._url)} did not return a JSON Web Key Set")
        return [key for key in keys if isinstance(key, dict)]


async def _read_limited(response: httpx2.Response) -> bytes:
    """Return the body; of a too large body, only the beginning that exceeds the limit."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BYTES:
            break
    return bytes(body)
