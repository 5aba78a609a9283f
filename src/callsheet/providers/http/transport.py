"""Transport: authenticated requests to the hosts of one provider, with limits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from callsheet.domain.errors import ProviderFailed
from callsheet.files.fetch import redact_url
from callsheet.http_clients import async_client
from callsheet.metrics import catalog
from callsheet.metrics.changes import count, observe, status_class
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.rate_limiter import RateLimiter
from callsheet.providers.http.redaction import remove_keys
from callsheet.providers.http.response import ProviderResponse
from callsheet.tracing import span

AuthHeaders = Callable[[], Awaitable[Mapping[str, str]]]
"""Returns the headers that authenticate a request. It is called for every request: some contain expiring tokens."""

_TIMEOUT = httpx2.Timeout(connect=5, read=30, write=30, pool=5)
_MAX_BYTES = 96 * 2**20
"""Maximum size of a response body. Some providers return whole files in it."""
_MAX_ERROR_BYTES = 64 * 1024
CHUNK = 256 * 1024


def static_headers(**headers: str) -> AuthHeaders:
    """Return auth headers that are the same for every request."""

    async def auth() -> Mapping[str, str]:
        return headers

    return auth


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Limits of the requests to one provider."""

    concurrency: int | None = None
    """Concurrent requests; None: as the setting `provider_concurrency`. Downloads are counted separately."""
    requests_per_second: float | None = None
    submits_per_second: float | None = None
    response_timeout: float = 300.0
    """Seconds for a complete response. A body that arrives byte by byte meets no other limit."""
    timeout: httpx2.Timeout | None = None
    """Timeouts of one step (connect, read, write); None: the default."""


class Transport:
    """Sends requests with the API key, to the provider's hosts only."""

    def __init__(
        self, provider: str, hosts: ProviderHosts, auth: AuthHeaders, limits: ClientLimits, concurrency: int
    ) -> None:
        self.provider = provider
        self.hosts = hosts
        self.auth = auth
        self.base_url = hosts.base_url.rstrip("/")
        self._slots = asyncio.Semaphore(concurrency)
        self._rate_limiter = RateLimiter(limits.requests_per_second)
        self._response_timeout = limits.response_timeout
        timeout = limits.timeout or _TIMEOUT
        self.client = async_client(
            timeout=timeout, limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20)
        )
        # A submission never reuses a connection: the server can close an idle one at that very moment, and then
        # it is unknown whether the submission was received.
        self._submit_client = async_client(timeout=timeout, limits=httpx2.Limits(max_keepalive_connections=0))

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()
        await self._submit_client.aclose()

    async def send(
        self, method: str, path: str, request: dict[str, Any], *, new_connection: bool = False
    ) -> ProviderResponse:
        """Send a request and read the response.

        `path` is a path below the base URL, or a complete URL of the provider. Raises ProviderFailed with the code
        `foreign_host` for another URL, and the errors of httpx2 and TimeoutError.
        """
        url = path if "://" in path else f"{self.base_url}{path}"
        if not self.hosts.includes(url):
            raise ProviderFailed(
                f"{self.provider} returned a URL of a foreign host: {redact_url(url)}", code="foreign_host"
            )
        auth_headers = await self.auth()
        headers = {**auth_headers, **request.pop("headers", {})}
        client = self._submit_client if new_connection else self.client
        async with self._slots:
            await self._rate_limiter.acquire()
            status, began = 0, time.monotonic()
            facts = {"http.request.method": method, "server.address": httpx2.URL(url).host}
            kind = "submit" if new_connection else "request"
            try:
                with span(f"{self.provider} {kind}", kind="client", attributes=facts) as current:
                    async with (
                        asyncio.timeout(self._response_timeout),
                        client.stream(method, url, headers=headers, **request) as response,
                    ):
                        body = await _read(response)
                        status = response.status_code
                    current.add({"http.response.status_code": status})
                    if status >= 400:
                        current.fail(f"HTTP {status}")
            finally:
                self._count(status, time.monotonic() - began, is_submission=new_connection)
        # Some errors repeat the rejected key, and some errors come with status 200. Large bodies of a success are
        # files, and are not searched.
        if not response.is_success or len(body) < _MAX_ERROR_BYTES:
            body = remove_keys(auth_headers, body)
        return ProviderResponse(response.status_code, response.headers, body)

    def _count(self, status: int, seconds: float, *, is_submission: bool) -> None:
        kind = "submit" if is_submission else "other"
        count(catalog.PROVIDER_REQUESTS, self.provider, kind, "429" if status == 429 else status_class(status))
        if status:
            observe(catalog.PROVIDER_LATENCY, seconds, self.provider, kind)


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes(CHUNK):
        body += chunk
        if len(body) > _MAX_BYTES:
            raise httpx2.ReadError("the response is too large")
    return bytes(body)
