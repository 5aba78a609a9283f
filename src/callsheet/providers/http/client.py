"""The way to a provider: one HTTP client, which tells what became of an order, and sends none twice."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import orjson

from callsheet.domain.errors import (
    BadSource,
    OutputExpired,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SourceUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.files.atomic_write import write_atomically
from callsheet.files.fetch import MAX_RETRY_AFTER, fetch, parse_retry_after, parse_seconds, redact_url
from callsheet.files.ssrf_guard import tls_context
from callsheet.providers.contract import Output
from callsheet.providers.http.json_fields import text
from callsheet.providers.http.rate_limiter import RateLimiter
from callsheet.settings import Settings

AuthHeaders = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the headers that open a provider, fresh for every request: some hold tokens that expire."""

_TIMEOUT = httpx2.Timeout(connect=5, read=30, write=30, pool=5)
_PATIENCE = 300.0
"""Seconds for a whole answer: one that drips in for ever meets no other limit."""
_MOST_HOPS = 5
_MOST_BYTES = 96 * 2**20
"""Of an answer; some providers put whole files into theirs."""
_CHUNK = 256 * 1024
_MESSAGE = 300
_LONGEST_ERROR = 64 * 1024
_SHORTEST_KEY = 12
_ADDRESS = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_TOKEN = re.compile(r"(\b(?:\w*token|sig|signature|X-Amz-[\w-]+)(?:=|%3D|%253D))[\w.~%+/-]+", re.IGNORECASE)
"""Of an address that is written in another way, as inside of a query."""
_BUSY = frozenset({425, 429})
_NOT_NOW = _BUSY | {409}
_TELLS_NOTHING = frozenset({302, 303, 408, 499})
"""Answers that may come whether an order was taken or not: see elsewhere, too slow, gone away; and every 5xx.

302 is what many a server says for 303.
"""
_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.ProxyError,
)
"""Failures before the first byte of a request is on its way."""


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """What a provider answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the body read as JSON. Raises ValueError when it is none."""
        return orjson.loads(self.body)

    def fields(self) -> dict[str, Any]:
        """Return the body as an object, an empty one when it is anything else."""
        try:
            read = self.json()
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}

    def at(self, *names: str) -> Any:
        """Return what stands there in the body; None where nothing does."""
        found: Any = self.fields()
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found


def static_headers(**headers: str) -> AuthHeaders:
    """Return keys that are the same for every request."""

    async def keys() -> Mapping[str, str]:
        return headers

    return keys


def _client(timeout: httpx2.Timeout, limits: httpx2.Limits) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        timeout=timeout,
        limits=limits,
        follow_redirects=False,
        verify=tls_context(),
        headers={"User-Agent": f"callsheet/{version('callsheet')}"},
    )


class ProviderClient:
    """Requests to one provider, so many at a time and so many a second.

    The provider's keys go to the origin of `base`, to `origins`, and by https to `own_hosts` and what lies below
    them; nowhere else.
    """

    def __init__(
        self,
        provider: str,
        base: str,
        settings: Settings,
        *,
        keys: AuthHeaders,
        origins: frozenset[str] = frozenset(),
        own_hosts: frozenset[str] = frozenset(),
        at_once: int = 8,
        per_second: float | None = None,
        submits_per_second: float | None = None,
        patience: float = _PATIENCE,
        timeout: httpx2.Timeout | None = None,
    ) -> None:
        self.provider = provider
        self.base_url = base.rstrip("/")
        self._settings = settings
        self._keys = keys
        self._origins = {_origin(self.base_url), *origins}
        self._own_hosts = own_hosts
        self._seats = asyncio.Semaphore(at_once)
        # Of their own, since a film takes minutes, and no question should wait for it.
        self._seats_for_files = asyncio.Semaphore(at_once)
        self._pace = RateLimiter(per_second)
        self._pace_of_orders = RateLimiter(submits_per_second)
        self._patience = patience
        self._client = _client(timeout or _TIMEOUT, httpx2.Limits(max_connections=100, max_keepalive_connections=20))
        # Each order has a connection of its own: one that was used may be closed at the very moment, and nobody
        # could tell whether the order had still been read.
        self._client_for_orders = _client(timeout or _TIMEOUT, httpx2.Limits(max_keepalive_connections=0))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
        await self._client_for_orders.aclose()

    async def submit(
        self, method: str, path: str, *, names: Sequence[str] = ("id",), **request: Any
    ) -> ProviderResponse:
        """Send what costs money, once, and return the answer of a success; `names` leads to the task's id in it.

        Raises Refused, ProviderRateLimited and ProviderUnreachable when certainly nothing was ordered, SubmissionUnknown
        when nobody can tell: the answer did not come, the provider failed while it had the order, or it asks to come
        back and names a task nevertheless.
        """
        await self._pace_of_orders.acquire()
        try:
            answer = await self._send(method, path, request, self._client_for_orders)
        except _NOT_SENT as error:
            raise ProviderUnreachable(f"{self.provider} cannot be reached: {type(error).__name__}") from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._unknown(f"no answer came ({type(error).__name__})") from error
        if answer.status in _NOT_NOW:
            self.raise_if_task_named(answer, *names)
        if answer.status in _BUSY:
            raise self._busy(answer)
        if answer.status in _TELLS_NOTHING or answer.status >= 500:
            raise self._unknown(f"it answered {answer.status}", status=answer.status)
        if not answer.ok:
            raise SubmissionRejected(f"{self.provider} refused: {sanitize(answer)}", status=answer.status)
        return answer

    async def get(self, method: str, path: str, **request: Any) -> ProviderResponse:
        """Ask what costs nothing, and return any answer but those that may be another in a while.

        Raises ProviderUnreachable and ProviderRateLimited.
        """
        return self.raise_if_transient(await self.request(method, path, **request))

    def raise_if_transient(self, answer: ProviderResponse) -> ProviderResponse:
        """Return an answer, unless it may be another in a while. Raises ProviderUnreachable and ProviderRateLimited."""
        if answer.status in _BUSY:
            raise self._busy(answer)
        if answer.status == 408 or answer.status >= 500:
            words = f"{self.provider} answered {sanitize(answer)}"
            raise ProviderUnreachable(words, retry_after=requested_delay(answer.headers))
        return answer

    async def request(self, method: str, path: str, **request: Any) -> ProviderResponse:
        """Ask what costs nothing, where even a failure is an answer, and return it. Raises ProviderUnreachable."""
        try:
            return await self._send(method, path, request)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ProviderUnreachable(f"{self.provider} did not answer: {type(error).__name__}") from error

    def json_object(self, answer: ProviderResponse) -> dict[str, Any]:
        """Return the object that a success holds. Raises ProviderUnreachable for anything else."""
        if not answer.ok:
            raise ProviderUnreachable(f"{self.provider} answered {sanitize(answer)}")
        fields = answer.fields()
        if not fields:
            raise ProviderUnreachable(f"{self.provider} answered {answer.status}, and something that is not understood")
        return fields

    async def fetch(self, output: Output, target: Path, *, hosts: frozenset[str] = frozenset()) -> Path:
        """Bring an output here, from wherever it is; as `download` does, where it has an address.

        Raises ProviderUnreachable for an empty one, too: no model makes that, and it may be there in a while.
        """
        if output.inline is not None:
            await write_atomically(_whole(output.inline), target)
        elif output.url is None:
            raise OutputExpired(f"{self.provider} named no address for the file")
        else:
            await self.download(output.url, target, hosts=hosts, with_key=output.requires_api_key)
        if not (await asyncio.to_thread(target.stat)).st_size:
            await asyncio.to_thread(target.unlink)
            place = redact_url(output.url) if output.url else "inline in its response"
            raise ProviderUnreachable(f"{self.provider} returned an empty file: {place}")
        return target

    async def download(
        self, url: str, target: Path, *, hosts: frozenset[str] = frozenset(), with_key: bool = False
    ) -> Path:
        """Bring a file here: from the provider's own origins, or from `hosts` and what lies below them.

        Everything outside the own origins is fetched without the key, by the rules for sources from the internet.
        Raises OutputExpired, ProviderFailed for a foreign host, ProviderUnreachable, DiskFull.
        """
        place, hops = url, 0
        while self.is_provider_host(place):
            if hops > _MOST_HOPS:
                raise OutputExpired(f"{redact_url(url)} redirects more than {_MOST_HOPS} times")
            elsewhere = await self._download_own(place, target, with_key)
            if elsewhere is None:
                return target
            place, hops = elsewhere, hops + 1
        if not hops and not _is_below(_host(url), hosts):
            raise ProviderFailed(
                f"{self.provider} names a file on a foreign host: {redact_url(url)}", code="foreign_host"
            )
        try:
            await fetch(place, target, self._settings)
        except SourceUnreachable as error:
            raise ProviderUnreachable(error.message, retry_after=error.retry_after) from error
        except BadSource as error:
            raise OutputExpired(error.message) from error
        return target

    async def _download_own(self, url: str, target: Path, with_key: bool) -> str | None:
        """Return where else the file is to be had, if the provider says so."""
        headers = {"Accept-Encoding": "identity", **(await self._keys() if with_key else {})}
        try:
            async with (
                asyncio.timeout(self._settings.source_timeout.total_seconds()),
                self._seats_for_files,
                self._client.stream("GET", url, headers=headers) as answer,
            ):
                if answer.has_redirect_location:
                    return _next_hop(answer)
                self._refuse(answer.status_code, url)
                await write_atomically(self._capped(answer), target)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise ProviderUnreachable(f"{redact_url(url)} did not come whole: {type(error).__name__}") from error
        return None

    def _refuse(self, status: int, url: str) -> None:
        if status in (200, 203):
            return
        if status in _BUSY or status == 408 or status >= 500:
            raise ProviderUnreachable(f"{redact_url(url)} answered {status}")
        raise OutputExpired(f"{redact_url(url)} answered {status}")

    async def _capped(self, answer: httpx2.Response) -> AsyncGenerator[bytes, None]:
        size, cap = 0, self._settings.source_max_bytes
        async for chunk in answer.aiter_bytes(_CHUNK):
            size += len(chunk)
            if size > cap:
                raise OutputExpired(f"{redact_url(str(answer.url))} has more than the {cap:,} bytes that are accepted")
            yield chunk
        expected = answer.headers.get("Content-Length", "")
        if expected.isdecimal() and not answer.headers.get("Content-Encoding") and int(expected) != size:
            raise ProviderUnreachable(
                f"{redact_url(str(answer.url))} broke off: {size:,} of {int(expected):,} bytes came"
            )

    async def _send(
        self, method: str, path: str, request: dict[str, Any], client: httpx2.AsyncClient | None = None
    ) -> ProviderResponse:
        url = path if "://" in path else f"{self.base_url}{path}"
        if not self.is_provider_host(url):
            raise ProviderFailed(f"{self.provider} names a foreign address: {redact_url(url)}", code="foreign_host")
        keys = await self._keys()
        headers = {**keys, **request.pop("headers", {})}
        async with self._seats:
            await self._pace.acquire()
            async with (
                asyncio.timeout(self._patience),
                (client or self._client).stream(method, url, headers=headers, **request) as answer,
            ):
                body = await _read(answer)
        # Some errors repeat the key that they do not like; and some come as a success, which may hold whole files, too.
        may_tell = not answer.is_success or len(body) < _LONGEST_ERROR
        return ProviderResponse(answer.status_code, answer.headers, _without(keys, body) if may_tell else body)

    def is_provider_host(self, url: str) -> bool:
        """Tell whether an address is the provider's own, so that its keys may go there."""
        origin = _origin(url)
        secure = origin.startswith("https://") and origin.endswith(":443")
        return origin in self._origins or (secure and _is_below(_host(url), self._own_hosts))

    def _busy(self, answer: ProviderResponse) -> ProviderRateLimited:
        return ProviderRateLimited(
            f"{self.provider} is busy: {sanitize(answer)}", retry_after=requested_delay(answer.headers)
        )

    def _unknown(self, why: str, **facts: Any) -> SubmissionUnknown:
        return SubmissionUnknown(f"An order was sent to {self.provider}, and {why}.", provider=self.provider, **facts)

    def raise_if_task_named(self, answer: ProviderResponse, *names: str) -> None:
        """Raise SubmissionUnknown for an answer that does not take an order now, if it names a task nevertheless."""
        task = text(answer.at(*names))
        if task is not None:
            words = f"it answered {sanitize(answer)}, and names a task nevertheless: {redact_message(task)[:_MESSAGE]}"
            raise self._unknown(words, status=answer.status)

    def raise_unreadable_submission(self, answer: ProviderResponse) -> NoReturn:
        """Raise SubmissionUnknown for a success that does not say what was ordered."""
        raise self._unknown(f"its answer ({answer.status}) does not name the task", status=answer.status)


def requested_delay(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait; None if it asks nothing."""
    exact = parse_seconds(headers.get("retry-after-ms", ""))
    return parse_retry_after(headers.get("retry-after")) if exact is None else min(exact / 1000, MAX_RETRY_AFTER)


def sanitize(answer: ProviderResponse) -> str:
    """Return status and reason of an answer as they may stand in a message."""
    fields = answer.fields()
    for key in ("detail", "message", "error", "title", "failure", "failureCode"):
        value = fields.get(key)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, list):
            value = "; ".join(str(each.get("msg", each)) if isinstance(each, dict) else str(each) for each in value)
        if isinstance(value, str) and value.strip():
            return f"{answer.status} {redact_message(value)[:_MESSAGE]}"
    return str(answer.status)


def redact_message(message: str) -> str:
    """Return a provider's message in one line, its addresses without their queries: those hold tokens, ours as well."""
    return _TOKEN.sub(r"\1...", _ADDRESS.sub(lambda found: redact_url(found[0]), " ".join(message.split())))


async def _read(answer: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes(_CHUNK):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise httpx2.ReadError("the answer is too large")
    return bytes(body)


def _without(keys: Mapping[str, str], body: bytes) -> bytes:
    for key in (value.split(" ")[-1].encode() for value in keys.values()):
        body = body.replace(key, b"...") if len(key) >= _SHORTEST_KEY else body
    return body


async def _whole(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _next_hop(answer: httpx2.Response) -> str:
    try:
        return str(answer.url.join(answer.headers["Location"]))
    except (httpx2.InvalidURL, ValueError):
        raise OutputExpired(f"{redact_url(str(answer.url))} leads to something that is no address") from None


def _host(url: str) -> str:
    try:
        return httpx2.URL(url).host
    except (httpx2.InvalidURL, ValueError):
        return ""


def _origin(url: str) -> str:
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.host}:{port}"


def _is_below(host: str, hosts: frozenset[str]) -> bool:
    return any(host == known or host.endswith(f".{known}") for known in hosts)
