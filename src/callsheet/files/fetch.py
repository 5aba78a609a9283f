"""Fetching a file from a URL that a client named."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
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
"""Seconds: whatever a server asks for, nobody waits longer."""
_NUMBER = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_MOST_REDIRECTS = 5
_CHUNK = 256 * 1024
_PASSING = frozenset({408, 425, 429})
_DECODED = frozenset({"", "identity", "gzip", "deflate"})
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}

ProgressCallback = Callable[[int, int | None], None]
"""Told the bytes received so far with the bytes expected, where the server tells."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that came: where it lies, the name its server gives it (made safe), its size in bytes."""

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
    """Stream a file from the internet to `target`, which appears whole or not at all.

    Raises BadSource for what will not mend itself (a forbidden address, 404, too large), SourceUnreachable for
    what may (no connection, 429, 5xx, cut off), DiskFull. `client` must come from `guarded_client`.
    """
    limit = settings.source_timeout.total_seconds()
    try:
        async with asyncio.timeout(limit) as clock:
            if client is not None:
                return await _fetch(client, url, target, settings, on_progress)
            async with guarded_client(settings) as own:
                return await _fetch(own, url, target, settings, on_progress)
    except TimeoutError:
        if not clock.expired():
            raise
        raise SourceUnreachable(f"{redact_url(url)} did not come whole within {limit:g} seconds") from None


def redact_url(url: str) -> str:
    """Return a URL as it may stand in a message: without user name, password, query (they hold keys)."""
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return "The URL"
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"[:200]


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (a number or a date); None if it asks nothing."""
    if value is None:
        return None
    seconds = parse_seconds(value)
    try:
        wanted = _seconds_until(value) if seconds is None else seconds
    except (ValueError, OverflowError):
        return None
    return min(max(wanted, 0.0), MAX_RETRY_AFTER)


def parse_seconds(text: str) -> float | None:
    """Return a number that is written in digits, with a fraction or without; None for anything else."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


async def _fetch(
    client: httpx2.AsyncClient, url: str, target: Path, settings: Settings, on_progress: ProgressCallback | None
) -> FetchedFile:
    address = _checked(url, settings)
    for _ in range(_MOST_REDIRECTS + 1):
        with _translate_errors(str(address)):
            async with client.stream("GET", address, headers=_HEADERS) as answer:
                if not answer.has_redirect_location:
                    _refuse_failure(answer, str(address))
                    return await _receive(answer, target, settings.source_max_bytes, on_progress)
                address = _checked(_next_hop(address, answer.headers["Location"]), settings)
    raise BadSource(f"{redact_url(url)} redirects more than {_MOST_REDIRECTS} times")


def _checked(url: str, settings: Settings) -> httpx2.URL:
    try:
        address = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        raise BadSource("The URL cannot be read") from None
    if not address.host:
        raise BadSource("The URL names no host")
    if address.scheme == "http" and not settings.allow_http:
        raise BadSource(f"{redact_url(url)} is not https:// (CALLSHEET_ALLOW_HTTP lifts this)")
    if address.scheme not in {"http", "https"}:
        raise BadSource(f"{redact_url(url)} must begin with https://")
    return address


def _next_hop(address: httpx2.URL, location: str) -> str:
    try:
        return str(address.copy_with(userinfo=b"").join(location))
    except (httpx2.InvalidURL, ValueError):
        raise BadSource(f"{redact_url(str(address))} redirects to something that is not a URL") from None


def _refuse_failure(answer: httpx2.Response, url: str) -> None:
    status = answer.status_code
    if status in {200, 203}:
        return
    words = f"{redact_url(url)} answered {status} {answer.reason_phrase}".rstrip()
    if status in _PASSING or status >= 500:
        raise SourceUnreachable(words, retry_after=parse_retry_after(answer.headers.get("Retry-After")))
    raise BadSource(words)


async def _receive(
    answer: httpx2.Response, target: Path, cap: int, on_progress: ProgressCallback | None
) -> FetchedFile:
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _DECODED:
        raise BadSource(f"{redact_url(str(answer.url))} is compressed in a way that is not read: {encoding[:40]}")
    told = answer.headers.get("Content-Length", "")
    expected = int(told) if told.isdecimal() and encoding in {"", "identity"} else None
    if expected is not None and expected > cap:
        raise _too_large(answer, cap)
    size = await write_atomically(_capped(answer, cap, expected, on_progress), target)
    name, kind = _name(answer), _media_type(answer)
    return FetchedFile(target, name, size, kind or guess_media_type(name))


async def _capped(
    answer: httpx2.Response, cap: int, expected: int | None, on_progress: ProgressCallback | None
) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in answer.aiter_bytes(_CHUNK):
        size += len(chunk)
        if size > cap:
            raise _too_large(answer, cap)
        yield chunk
        if on_progress is not None:
            on_progress(size, expected)


def _too_large(answer: httpx2.Response, cap: int) -> BadSource:
    return BadSource(f"{redact_url(str(answer.url))} has more than the {cap:,} bytes that are accepted")


def _name(answer: httpx2.Response) -> str:
    given = parse_file_name(answer.headers.get("Content-Disposition", ""))
    name = safe_name(given or unquote(PurePosixPath(answer.url.path).name))
    if PurePosixPath(name).suffix:
        return name
    return safe_name(name + suffix_for(_media_type(answer) or ""))


def _media_type(answer: httpx2.Response) -> str | None:
    kind = answer.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()
    return kind if "/" in kind and len(kind) < 100 else None


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        step = "connect" if isinstance(error, httpx2.ConnectTimeout) else "answer"
        raise SourceUnreachable(f"{redact_url(url)} did not {step} in time") from error
    except httpx2.ConnectError as error:
        raise SourceUnreachable(f"{redact_url(url)} cannot be reached: {error}") from error
    except (httpx2.RemoteProtocolError, httpx2.NetworkError, httpx2.DecodingError) as error:
        raise SourceUnreachable(f"{redact_url(url)} broke off before its end") from error
    except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise BadSource(f"{redact_url(url)} cannot be requested") from error
