"""HTTP client of a polled API: takes tasks and sends results."""

from typing import Any

import httpx2

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import BadSource
from callsheet.domain.json_text import read_json
from callsheet.files.ssrf_guard import guarded_client
from callsheet.http_clients import async_client, describe_error
from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.polled_api.results import CallbackBody
from callsheet.intake.polled_api.tasks import base_url
from callsheet.settings import Settings

TASK_PATH = "/api/worker/task"
_TIMEOUT = httpx2.Timeout(connect=10, read=30, write=60, pool=10)
_NO_TASK = frozenset({204, 404})
_OUTAGE = frozenset({401, 403, 408, 425, 429})
"""Statuses that an operator or time changes: the call is repeated until it succeeds. So is every 5xx."""
_EXCERPT = 200


class CallbackRefused(Exception):
    """The receiver does not accept a result. `is_gone`: it no longer knows the task."""

    def __init__(self, message: str, *, is_gone: bool) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class PolledAPI:
    """One API. The key is sent to its own address only; other receivers are public addresses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = httpx2.URL(base_url(settings))
        key = settings.polled_api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._own = async_client(timeout=_TIMEOUT, headers=headers)
        self._others = guarded_client(settings, timeout=_TIMEOUT)

    async def close(self) -> None:
        """Close the connections."""
        await self._own.aclose()
        await self._others.aclose()

    async def take(self) -> Any:
        """Return the next task as JSON; None if there is none. Raises SourceUnavailable."""
        url = f"{base_url(self._settings)}{TASK_PATH}"
        try:
            async with self._own.stream("GET", url) as response:
                if response.status_code in _NO_TASK:
                    return None
                body = await self._read(response)
        except httpx2.HTTPError as error:
            raise SourceUnavailable(f"GET {TASK_PATH}: {describe_error(error)}") from None
        if response.status_code != 200:
            raise SourceUnavailable(f"GET {TASK_PATH} responded with {response.status_code}: {_excerpt(body)}")
        return _task_in(body)

    async def send(self, url: str, body: CallbackBody) -> None:
        """Send a result as JSON. Raises SourceUnavailable, and CallbackRefused."""
        client = self._own if self._is_own(url) else self._others
        headers = {"Content-Type": "application/json", "Content-Length": str(body.length)}
        try:
            response = await client.post(url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            raise SourceUnavailable(f"the callback: {describe_error(error)}") from None
        except (httpx2.InvalidURL, ValueError) as error:
            raise CallbackRefused(f"the callback URL is invalid: {error}", is_gone=False) from None
        except BadSource as error:
            raise CallbackRefused(error.message, is_gone=False) from None
        status = response.status_code
        if status in _OUTAGE or status >= 500:
            raise SourceUnavailable(f"the callback responded with {status}: {_excerpt(response.content)}")
        if not response.is_success:
            message = f"the callback responded with {status}: {_excerpt(response.content)}"
            raise CallbackRefused(message, is_gone=status in (404, 409, 410))

    async def renew(self, url: str) -> bool:
        """Renew the lease of a task. Return whether it is still wanted. Raises SourceUnavailable."""
        if not self._is_own(url):
            return True
        try:
            response = await self._own.post(url)
        except httpx2.HTTPError as error:
            raise SourceUnavailable(f"the lease: {describe_error(error)}") from None
        if response.status_code in (404, 409, 410):
            return False
        if not response.is_success:
            raise SourceUnavailable(f"the lease responded with {response.status_code}: {_excerpt(response.content)}")
        try:
            body = read_json(response.content)
        except DocumentError as error:
            raise SourceUnavailable(f"the lease: {error}") from None
        return not (isinstance(body, dict) and body.get("cancelled") is True)

    def _is_own(self, url: str) -> bool:
        try:
            other = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError):
            return False
        return _origin(other) == _origin(self._url)

    async def _read(self, response: httpx2.Response) -> bytes:
        body, limit = bytearray(), self._settings.max_body_bytes
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                raise SourceUnavailable(f"GET {TASK_PATH}: the task is larger than {limit:,} bytes")
        return bytes(body)


def _task_in(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        found = read_json(body)
    except DocumentError as error:
        raise SourceUnavailable(f"GET {TASK_PATH} returned no JSON: {error}: {_excerpt(body)}") from None
    if isinstance(found, dict) and set(found) <= {"task", "message", "success"} and "id" not in found:
        found = found.get("task")
    return found or None


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _excerpt(body: bytes) -> str:
    return " ".join(body[:_EXCERPT].decode(errors="replace").split())
