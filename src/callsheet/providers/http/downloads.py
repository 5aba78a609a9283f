"""Downloads of output files."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2

from callsheet.domain.errors import (
    BadOutput,
    BadSource,
    OutputExpired,
    ProviderFailed,
    ProviderUnreachable,
    SourceUnreachable,
)
from callsheet.files.atomic_write import write_atomically
from callsheet.files.fetch import fetch, limited_chunks, redact_url, resolve_redirect
from callsheet.files.ssrf_guard import is_public_host
from callsheet.http_clients import describe_error, proxy_for
from callsheet.providers.contract import Output
from callsheet.providers.http.hosts import host_of, is_within
from callsheet.providers.http.submission import RATE_LIMITED
from callsheet.providers.http.transport import Transport
from callsheet.settings import Settings

_MAX_REDIRECTS = 5


class Downloads:
    """Downloads from one provider. Files have slots of their own: a large file must not delay a poll."""

    def __init__(self, transport: Transport, settings: Settings, concurrency: int) -> None:
        self._transport = transport
        self._settings = settings
        self._slots = asyncio.Semaphore(concurrency)

    async def fetch(self, output: Output, target: Path, *, hosts: frozenset[str] = frozenset()) -> Path:
        """Write an output to `target`: its inline content, or the file at its URL (see `download`).

        Raises BadOutput for an empty file: no model produces one, and it can be complete later.
        """
        provider = self._transport.provider
        if output.inline is not None:
            await write_atomically(_single_chunk(output.inline), target)
        elif output.url is None:
            raise OutputExpired(f"{provider} returned no URL for the file")
        else:
            await self.download(output.url, target, hosts=hosts, with_key=output.requires_api_key)
        if not (await asyncio.to_thread(target.stat)).st_size:
            await asyncio.to_thread(target.unlink)
            place = redact_url(output.url) if output.url else "inline in its response"
            raise BadOutput(f"{provider} returned an empty file: {place}", found="an empty file", damaged=True)
        return target

    async def download(
        self, url: str, target: Path, *, hosts: frozenset[str] = frozenset(), with_key: bool = False
    ) -> Path:
        """Download a file from the provider's own hosts, or from the domains in `hosts`.

        Only the provider's own hosts receive the API key. All others are fetched by the rules for media sources, or
        through the proxy of the environment, if there is one.
        Raises OutputExpired, ProviderFailed for a foreign host, ProviderUnreachable, DiskFull.
        """
        current, redirects = url, 0
        while (is_own := self._transport.hosts.includes(current)) or _needs_proxy(current, hosts):
            if redirects > _MAX_REDIRECTS:
                raise OutputExpired(f"{redact_url(url)} redirects more than {_MAX_REDIRECTS} times")
            next_url = await self._download_from_provider(current, target, with_key and is_own)
            if next_url is None:
                return target
            current, redirects = next_url, redirects + 1
        if not redirects and not is_within(host_of(url), hosts):
            raise ProviderFailed(
                f"{self._transport.provider} returned a file URL of a foreign host: {redact_url(url)}",
                code="foreign_host",
            )
        await self._download_from_elsewhere(current, target)
        return target

    async def _download_from_elsewhere(self, url: str, target: Path) -> None:
        try:
            await fetch(url, target, self._settings)
        except SourceUnreachable as error:
            raise ProviderUnreachable(error.message, retry_after=error.retry_after) from error
        except BadSource as error:
            raise OutputExpired(error.message) from error

    async def _download_from_provider(self, url: str, target: Path, with_key: bool) -> str | None:
        """Download a file, or return the URL that the provider redirects to."""
        headers = {"Accept-Encoding": "identity", **(await self._transport.auth() if with_key else {})}
        try:
            async with (
                asyncio.timeout(self._settings.source_timeout.total_seconds()),
                self._slots,
                self._transport.client.stream("GET", url, headers=headers) as response,
            ):
                if response.has_redirect_location:
                    return _redirect_target(response)
                _raise_for_status(response.status_code, url)
                await write_atomically(self._chunks(response), target)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ProviderUnreachable(f"{redact_url(url)} was not downloaded: {describe_error(error)}") from error
        return None

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        url, limit, size = redact_url(str(response.url)), self._settings.source_max_bytes, 0
        too_large = OutputExpired(f"{url} is larger than the limit of {limit:,} bytes")
        async for chunk in limited_chunks(response, limit, too_large):
            size += len(chunk)
            yield chunk
        expected = response.headers.get("Content-Length", "")
        if expected.isdecimal() and not response.headers.get("Content-Encoding") and int(expected) != size:
            raise ProviderUnreachable(f"{url} is incomplete: {size:,} of {int(expected):,} bytes")


def _needs_proxy(url: str, hosts: frozenset[str]) -> bool:
    """Return whether a file of the provider is fetched through a proxy, which the SSRF guard never uses."""
    host = host_of(url)
    return (
        url.startswith("https://")
        and is_within(host, hosts)
        and is_public_host(host)
        and proxy_for(httpx2.URL(url)) is not None
    )


def _redirect_target(response: httpx2.Response) -> str:
    target = resolve_redirect(response.url, response)
    if target is None:
        raise OutputExpired(f"{redact_url(str(response.url))} redirects to a malformed URL")
    return target


def _raise_for_status(status: int, url: str) -> None:
    if status in (200, 203):
        return
    if status in RATE_LIMITED or status == 408 or status >= 500:
        raise ProviderUnreachable(f"{redact_url(url)} responded with {status}")
    if status < 300:  # not ready yet, without content, or a part that was not requested
        found = f"status {status} without the complete file"
        raise BadOutput(f"{redact_url(url)} responded with {found}", found=found, damaged=False)
    raise OutputExpired(f"{redact_url(url)} responded with {status}")


async def _single_chunk(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
