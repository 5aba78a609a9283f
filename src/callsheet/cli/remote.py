"""Talking to a running server."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx2
import orjson

from callsheet.cli.errors import CommandFailed, Unreachable, WaitedTooLong
from callsheet.cli.printing import say

_EXIT_CODES = {401: 4, 403: 4, 404: 3, 409: 5, 500: 70, 502: 6, 503: 6, 504: 6}
_EXIT_CODES_BY_PROBLEM = {"idempotency_conflict": 5}
_ENDED = {"succeeded", "failed", "cancelled"}
_PATIENCE = 60.0
"""Seconds that a stream of events may be cut off before the server counts as unreachable."""
_PAUSE = 0.5
_SILENCE = 45.0
"""Seconds without a sign of life, three of the server's pings, after which a stream is dead."""


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event as the server sent it."""

    number: int
    type: str
    data: dict[str, Any]


class ApiClient:
    """A running server, as its clients see it.

    Methods raise Refused with every problem that the server names, Unreachable when it does not answer.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx2.Client(base_url=self.url, headers=headers, timeout=30)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON that lies there."""
        return self.request("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """Post JSON, return the JSON of the answer."""
        return self.request("POST", path, json=body, headers=headers)

    def patch(self, path: str, body: Any) -> Any:
        """Change what lies there."""
        return self.request("PATCH", path, json=body)

    def request(self, method: str, path: str, **more: Any) -> Any:
        """Send one request."""
        try:
            response = self._client.request(method, path, **more)
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise self._away(error) from None
        if response.is_error:
            raise refusal(response.status_code, response.content)
        return orjson.loads(response.content) if response.content else None

    def events(self, execution_id: str, *, after: int = 0, timeout: float | None = None) -> Iterator[StreamedEvent]:
        """Yield the events of an execution, each once and in order, until it has ended.

        A cut connection is taken up again where it broke off. Raises WaitedTooLong after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout if timeout is not None else None
        cut_since: float | None = None
        while True:
            try:
                for event in self._stream(execution_id, after, deadline):
                    after, cut_since = event.number, None
                    yield event
                status = self.get(f"/api/status/{execution_id}")
                if status["status"] in _ENDED and status["lastEvent"] <= after:
                    return
            except (httpx2.TransportError, Unreachable) as error:
                _check(deadline, execution_id)
                if cut_since is None:
                    cut_since = time.monotonic()
                    say(f"The connection to {self.url} is cut ({type(error).__name__}); taking it up again …")
                if time.monotonic() - cut_since > _PATIENCE:
                    raise self._away(error) from None
            time.sleep(_PAUSE)

    def _stream(self, execution_id: str, after: int, deadline: float | None) -> Iterator[StreamedEvent]:
        patience = _SILENCE if deadline is None else max(0.1, min(_SILENCE, deadline - time.monotonic()))
        with self._client.stream(
            "GET",
            f"/api/executions/{execution_id}/events",
            headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
            timeout=httpx2.Timeout(30, read=patience),
        ) as response:
            if response.is_error:
                raise refusal(response.status_code, response.read())
            for event in parse_stream(response.iter_lines()):
                yield event
                _check(deadline, execution_id)

    def _away(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"There is no answer from {self.url} ({type(error).__name__}). Start a server with `callsheet up`, or name "
            "another by --url or CALLSHEET_URL."
        )


def _check(deadline: float | None, execution_id: str) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise WaitedTooLong(f"The execution goes on, but the time to wait is over: callsheet watch {execution_id}")


def parse_stream(lines: Iterator[str]) -> Iterator[StreamedEvent]:
    """Yield the events in the lines of a server-sent event stream; comments and half events are left out."""
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


def refusal(status: int, content: bytes) -> CommandFailed:
    """Read a problem document; what is none is told by its status."""
    try:
        problem = orjson.loads(content)
    except orjson.JSONDecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    exit_code = _EXIT_CODES_BY_PROBLEM.get(problem.get("code", ""), _EXIT_CODES.get(status, 2 if status < 500 else 70))
    message = problem.get("detail") or problem.get("title") or f"The server answered {status}."
    errors = problem.get("errors") or []
    lines = [f"{e.get('path')}: {e.get('message')}" if e.get("path") else str(e.get("message")) for e in errors]
    return CommandFailed(message, exit_code=exit_code, problems=lines)
