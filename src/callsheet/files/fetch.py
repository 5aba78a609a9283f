"""Download of a file from a URL that a client named."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import httpx2

from callsheet.domain.errors import BadSource, SourceUnreachable
from callsheet.files.atomic_write import write_atomically
from callsheet.files.disposition import parse_file_name
from callsheet.files.media_types import guess_media_type, suffix_for
from callsheet.files.object_keys import safe_name
from callsheet.files.ssrf_guard import guarded_client
from callsheet.settings import Settings

MAX_RETRY_AFTER = 24 * 3600.0
"""Upper limit, in seconds, for the delay that a Retry-After header requests."""
_MAX_RETRY_AFTER_LENGTH = 100
"""Characters of a Retry-After header; a longer one is not read."""
_NUMBER = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_MAX_REDIRECTS = 5
_CHUNK = 256 * 1024
_RETRYABLE_STATUSES = frozenset({408, 425, 429})
_SUPPORTED_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}

ProgressCallback = Callable[[int, int | None], None]
"""Called with the bytes received so far and the expected total; None when the server does not send it."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A downloaded file: its path, sanitized name, size in bytes and media type."""

    path: Path
    name: str
    size: int
    media_type: str


async def fetch(
    url: str,
    target: Path,
    settings: Settings,
    *,
    on_progress: ProgressCallback | None = None,
    client: httpx2.AsyncClient | None = None,
) -> FetchedFile:
    """Download a URL to `target`, which appears complete or not at all.

    `client` must come from `guarded_client`; without one, a client is opened for this download.

    Raises BadSource for permanent failures (a private address, 404, too large), SourceUnreachable for temporary ones
    (no connection, 429, 5xx, an aborted transfer), and DiskFull.
    """
    limit = settings.source_timeout.total_seconds()
    try:
        async with asyncio.timeout(limit) as deadline:
            if client is not None:
                return await _fetch(client, url, target, settings, on_progress)
            async with guarded_client(settings) as new_client:
                return await _fetch(new_client, url, target, settings, on_progress)
    except TimeoutError:
        if not deadline.expired():
            raise
        raise SourceUnreachable(f"{redact_url(url)} was not downloaded within {limit:g} seconds") from None


def redact_url(url: str) -> str:
    """Return a URL for messages: without user name, password and query, which can contain secrets."""
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return "The URL"
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"[:200]


def parse_retry_after(value: str | None) -> float | None:
    """Return the delay in seconds that a Retry-After header (a number or a date) requests; None without one.

    The delay is at most `MAX_RETRY_AFTER`.
    """
    if value is None or len(value) > _MAX_RETRY_AFTER_LENGTH:
        return None
    seconds = parse_seconds(value)
    try:
        delay = _seconds_until(value) if seconds is None else seconds
    except (ValueError, OverflowError):
        return None
    return min(max(delay, 0.0), MAX_RETRY_AFTER)


def parse_seconds(text: str) -> float | None:
    """Return a decimal number, with or without a fraction; None for any other text."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _seconds_until(date: str) -> float:
    parsed = parsedate_to_datetime(date)
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


async def _fetch(
    client: httpx2.AsyncClient, url: str, target: Path, settings: Settings, on_progress: ProgressCallback | None
) -> FetchedFile:
    target_url = _validate_url(url, settings)
    for _ in range(_MAX_REDIRECTS + 1):
        with _translate_errors(str(target_url)):
            async with client.stream("GET", target_url, headers=_HEADERS) as response:
                if not response.has_redirect_location:
                    _raise_for_status(response, str(target_url))
                    return await _receive(response, target, settings.source_max_bytes, on_progress)
                target_url = _validate_url(_redirect_target(target_url, response), settings)
    raise BadSource(f"{redact_url(url)} redirects more than {_MAX_REDIRECTS} times")


def _validate_url(url: str, settings: Settings) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        raise BadSource("The URL is malformed") from None
    if not parsed.host:
        raise BadSource("The URL has no host")
    if parsed.scheme == "http" and not settings.allow_http:
        raise BadSource(f"{redact_url(url)} is not https:// (set CALLSHEET_ALLOW_HTTP to allow it)")
    if parsed.scheme not in {"http", "https"}:
        raise BadSource(f"{redact_url(url)} must start with https://")
    return parsed


def _redirect_target(url: httpx2.URL, response: httpx2.Response) -> str:
    # Credentials in the URL must not be sent to the next host.
    target = resolve_redirect(url.copy_with(userinfo=b""), response)
    if target is None:
        raise BadSource(f"{redact_url(str(url))} redirects to a malformed URL")
    return target


def resolve_redirect(url: httpx2.URL, response: httpx2.Response) -> str | None:
    """Return the absolute URL of a redirect response's Location header; None when it is malformed."""
    try:
        return str(url.join(response.headers["Location"]))
    except (httpx2.InvalidURL, ValueError):
        return None


def _raise_for_status(response: httpx2.Response, url: str) -> None:
    status = response.status_code
    if status in {200, 203}:
        return
    message = f"{redact_url(url)} responded with {status} {response.reason_phrase}".rstrip()
    # Other success statuses: not ready yet, without content, or a part that was not requested.
    if status in _RETRYABLE_STATUSES or status >= 500 or status < 300:
        raise SourceUnreachable(message, retry_after=parse_retry_after(response.headers.get("Retry-After")))
    raise BadSource(message)


async def _receive(
    response: httpx2.Response, target: Path, max_bytes: int, on_progress: ProgressCallback | None
) -> FetchedFile:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _SUPPORTED_ENCODINGS:
        raise BadSource(f"{redact_url(str(response.url))} has an unsupported Content-Encoding: {encoding[:40]}")
    content_length = response.headers.get("Content-Length", "")
    expected = int(content_length) if content_length.isdecimal() and encoding in {"", "identity"} else None
    too_large = BadSource(f"{redact_url(str(response.url))} is larger than the limit of {max_bytes:,} bytes")
    if expected is not None and expected > max_bytes:
        raise too_large
    chunks = limited_chunks(response, max_bytes, too_large)
    if on_progress is not None:
        chunks = _report_progress(chunks, expected, on_progress)
    size = await write_atomically(chunks, target)
    name = _file_name(response)
    return FetchedFile(target, name, size, _media_type(response) or guess_media_type(name))


async def limited_chunks(
    response: httpx2.Response, max_bytes: int, too_large: Exception
) -> AsyncGenerator[bytes, None]:
    """Yield the decoded body of a streamed response; raises `too_large` once it exceeds `max_bytes`."""
    size = 0
    async for chunk in response.aiter_bytes(_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        yield chunk


async def _report_progress(
    chunks: AsyncGenerator[bytes, None], expected: int | None, on_progress: ProgressCallback
) -> AsyncGenerator[bytes, None]:
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk
            size += len(chunk)
            on_progress(size, expected)


def _file_name(response: httpx2.Response) -> str:
    suggested = parse_file_name(response.headers.get("Content-Disposition", ""))
    name = safe_name(suggested or unquote(PurePosixPath(response.url.path).name))
    if PurePosixPath(name).suffix:
        return name
    return safe_name(name + suffix_for(_media_type(response) or ""))


def _media_type(response: httpx2.Response) -> str | None:
    media_type = response.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()
    return media_type if "/" in media_type and len(media_type) < 100 else None


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        step = "connect" if isinstance(error, httpx2.ConnectTimeout) else "respond"
        raise SourceUnreachable(f"{redact_url(url)} did not {step} in time") from error
    except httpx2.ConnectError as error:
        raise SourceUnreachable(f"{redact_url(url)} cannot be reached: {error}") from error
    except (httpx2.RemoteProtocolError, httpx2.NetworkError, httpx2.DecodingError) as error:
        raise SourceUnreachable(f"{redact_url(url)} closed the connection before the end of the file") from error
    except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise BadSource(f"{redact_url(url)} cannot be requested") from error
