"""HTTP client of the API of a running server."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx2
import orjson
from pydantic import ValidationError

from callsheet.cli.client_settings import ClientSettings
from callsheet.cli.errors import CommandFailed, Unreachable, WaitTimeout
from callsheet.cli.printing import say
from callsheet.domain.errors import ConfigurationError
from callsheet.http_clients import describe_error, sync_client

_EXIT_CODES = {408: 6, 401: 4, 403: 4, 404: 3, 409: 5, 500: 70, 502: 6, 503: 6, 504: 6}
_UNAUTHORIZED = 401
_EXIT_CODES_BY_PROBLEM = {"idempotency_conflict": 5}
_ENDED = {"succeeded", "failed", "cancelled"}
_RECONNECT_TIMEOUT = 60.0
"""Seconds of failed reconnects after which the server counts as unreachable."""
_RECONNECT_DELAY = 0.5
_SUBMIT_DELAYS = (0.5, 1.0, 2.0)
"""Seconds before each retry of a submission."""
_UNAVAILABLE = 6
"""Exit code of a server that does not respond or is busy."""
_STREAM_TIMEOUT = 45.0
"""Seconds without data after which a stream is cut; the server sends a ping every 15 seconds."""


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event of a stream."""

    number: int
    type: str
    data: dict[str, Any]


def connect(url: str | None, api_key: str | None) -> "ApiClient":
    """Return a client. What is None comes from the settings: `CALLSHEET_URL`, `CALLSHEET_API_KEY`.

    Raises ConfigurationError for settings that cannot be read, and for a key that cannot be sent.
    """
    given: dict[str, Any] = {"url": url, "api_key": api_key}
    try:
        settings = ClientSettings(**{name: value for name, value in given.items() if value})
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise ConfigurationError(f"The API key (--api-key, CALLSHEET_API_KEY) is invalid: {reasons}.") from None
    except OSError as error:
        raise ConfigurationError(f"The file in CALLSHEET_API_KEY_FILE cannot be read: {error}") from None
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return ApiClient(settings.url, key)


class ApiClient:
    """Client of a running server.

    Methods raise CommandFailed with every problem of an error response, and Unreachable if there is no response.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = sync_client(base_url=self.url, headers=headers, timeout=30)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """Send GET and return the JSON of the response."""
        return self.request("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """Send POST with JSON and return the JSON of the response."""
        return self.request("POST", path, json=body, headers=headers)

    def submit(self, submission: Any, idempotency_key: str | None = None) -> Any:
        """Submit a plan and return the receipt.

        The request always has an idempotency key. So it is repeated safely when the connection breaks or the server is
        busy: a plan that was stored is not stored again.
        """
        headers = {"Idempotency-Key": idempotency_key or f"cli-{uuid4()}"}
        for delay in _SUBMIT_DELAYS:
            try:
                return self.post("/api/executions", submission, headers=headers)
            except (Unreachable, CommandFailed) as error:
                if isinstance(error, CommandFailed) and error.exit_code != _UNAVAILABLE:
                    raise
                say(f"{error.message} Retrying in {delay:g} s …")
            time.sleep(delay)
        return self.post("/api/executions", submission, headers=headers)

    def patch(self, path: str, body: Any) -> Any:
        """Send PATCH with JSON and return the JSON of the response."""
        return self.request("PATCH", path, json=body)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return the JSON of the response."""
        try:
            response = self._client.request(method, path, **options)
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise self._unreachable(error) from None
        if response.is_error:
            raise command_failure(response.status_code, response.content)
        return orjson.loads(response.content) if response.content else None

    def events(self, execution_id: str, *, after: int = 0, timeout: float | None = None) -> Iterator[StreamedEvent]:
        """Yield the events of an execution, each once and in order, until it has ended.

        A lost connection is resumed after the last event. Raises WaitTimeout after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout if timeout is not None else None
        disconnected_since: float | None = None
        while True:
            try:
                for event in self._stream(execution_id, after, deadline):
                    after, disconnected_since = event.number, None
                    yield event
                status = self.get(f"/api/executions/{execution_id}")
                if status["status"] in _ENDED and status["lastEvent"] <= after:
                    return
            except (httpx2.TransportError, Unreachable) as error:
                _check_deadline(deadline, execution_id)
                if disconnected_since is None:
                    disconnected_since = time.monotonic()
                    say(f"Lost the connection to {self.url} ({describe_error(error)}); reconnecting …")
                if time.monotonic() - disconnected_since > _RECONNECT_TIMEOUT:
                    raise self._unreachable(error) from None
            time.sleep(_RECONNECT_DELAY)

    def _stream(self, execution_id: str, after: int, deadline: float | None) -> Iterator[StreamedEvent]:
        read_timeout = (
            _STREAM_TIMEOUT if deadline is None else max(0.1, min(_STREAM_TIMEOUT, deadline - time.monotonic()))
        )
        with self._client.stream(
            "GET",
            f"/api/executions/{execution_id}/events",
            headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
            timeout=httpx2.Timeout(30, read=read_timeout),
        ) as response:
            if response.is_error:
                raise command_failure(response.status_code, response.read())
            for event in parse_sse(response.iter_lines()):
                yield event
                _check_deadline(deadline, execution_id)

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"No response from {self.url} ({describe_error(error)}). Start a server with `callsheet up`, or set "
            "another URL with --url or CALLSHEET_URL."
        )


def _check_deadline(deadline: float | None, execution_id: str) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise WaitTimeout(f"The time to wait is over; the execution continues: callsheet watch {execution_id}")


def parse_sse(lines: Iterator[str]) -> Iterator[StreamedEvent]:
    """Yield the events in the lines of an SSE stream. Comments and incomplete events are skipped."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields and "id" in fields:
                yield StreamedEvent(int(fields["id"]), fields.get("event", "message"), orjson.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value


def command_failure(status: int, content: bytes) -> CommandFailed:
    """Return the error for an error response: from its problem document, else from its status."""
    try:
        problem = orjson.loads(content)
    except orjson.JSONDecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    exit_code = _EXIT_CODES_BY_PROBLEM.get(problem.get("code", ""), _EXIT_CODES.get(status, 2 if status < 500 else 70))
    message = problem.get("detail") or problem.get("title") or f"The server responded with status {status}."
    errors = problem.get("errors") or []
    lines = [f"{e.get('path')}: {e.get('message')}" if e.get("path") else str(e.get("message")) for e in errors]
    if status == _UNAUTHORIZED:
        lines.append("Set the key of the server with --api-key, CALLSHEET_API_KEY or CALLSHEET_API_KEY_FILE.")
    return CommandFailed(message, exit_code=exit_code, problems=lines)
