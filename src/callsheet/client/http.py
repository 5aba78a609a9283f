"""Requests to a server: JSON in both directions, and errors as exceptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson

from callsheet.client.errors import Unreachable, error_of_response
from callsheet.http_clients import async_client, describe_error

_NO_RESPONSE = (httpx2.TransportError, httpx2.InvalidURL, httpx2.UnsupportedProtocol)


class HttpApi:
    """A connection pool to one server.

    Methods raise Unreachable without a response, and for an error response the error that it describes.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        """`timeout` is the time limit in seconds for connecting, and for each piece of data."""
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = async_client(base_url=self.url, headers=headers, timeout=timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return the JSON of the response; None for an empty one. `options` are those of httpx."""
        try:
            response = await self._client.request(method, path, **options)
        except _NO_RESPONSE as error:
            raise self.unreachable(error) from error
        if response.is_error:
            retry_after = response.headers.get("Retry-After")
            raise error_of_response(response.status_code, response.content, retry_after=retry_after)
        return orjson.loads(response.content) if response.content else None

    @asynccontextmanager
    async def stream(self, path: str, *, headers: dict[str, str], timeout: float) -> AsyncIterator[httpx2.Response]:
        """Send GET and yield the successful response, whose body is not read yet.

        `timeout` is the time limit in seconds for connecting, and for each piece of the response.
        """
        try:
            async with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    raise error_of_response(response.status_code, await response.aread())
                yield response
        except _NO_RESPONSE as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> Unreachable:
        """Return the error for a request without a response."""
        return Unreachable(
            f"No response from {self.url} ({describe_error(error)}). Start a server with `callsheet up`, or set "
            "another URL with CALLSHEET_URL."
        )
