"""Runs a step at an endpoint of the steps file.

The endpoint receives `POST` with the request, signed by Standard Webhooks. It answers

- 200 with one message, `application/json`;
- 200 with one message a line, `application/x-ndjson`, while it works;
- 202 with `Location`: this URL is polled for one message, and gets `DELETE` when the job is cancelled.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2

from callsheet.domain.errors import ConfigurationError, JobError, SourceUnreachable, TimedOut, Transient
from callsheet.domain.standard_webhooks import signed_headers
from callsheet.files.fetch import parse_retry_after, redact_url, resolve_redirect
from callsheet.http_clients import async_client, describe_error
from callsheet.outside_steps.declarations import EndpointStep
from callsheet.outside_steps.messages import (
    MAX_MESSAGE_BYTES,
    InvalidMessage,
    OnLog,
    OnProgress,
    StepMessage,
    handle,
    read_message,
)

_TIMEOUT = httpx2.Timeout(connect=10, read=120, write=60, pool=10)
"""A streaming endpoint sends something at least every two minutes."""
_POLL_INTERVAL = 2.0
_MAX_POLL_INTERVAL = 60.0
_OUTAGE = 300.0
"""Seconds for which failed polls are repeated."""
_CANCEL_TIMEOUT = 10.0
_TEMPORARY = frozenset({408, 409, 423, 425, 429})


async def call_endpoint(
    step: EndpointStep, request: Mapping[str, Any], on_progress: OnProgress, on_log: OnLog
) -> StepMessage:
    """Run a step at its endpoint, and return its result. `request` has an `idempotencyKey`.

    Raises TimedOut after the timeout of the step; Transient when the endpoint cannot be reached, answers 429 or 5xx, or
    says that its error is transient; ConfigurationError for 401, 403, 404 and redirects; JobError for other failures.
    """
    try:
        async with asyncio.timeout(step.timeout.total_seconds()), async_client(timeout=_TIMEOUT) as client:
            return await _Call(step, client, on_progress, on_log).run(request)
    except TimeoutError:
        raise TimedOut(f"The endpoint '{step.name}' took longer than {step.timeout}") from None


@dataclass(frozen=True, slots=True)
class _Call:
    step: EndpointStep
    client: httpx2.AsyncClient
    on_progress: OnProgress
    on_log: OnLog

    async def run(self, request: Mapping[str, Any]) -> StepMessage:
        body = json.dumps(request, ensure_ascii=False).encode()
        key = str(request["idempotencyKey"])
        headers = self._headers(key, body) | {"Content-Type": "application/json", "Idempotency-Key": key}
        with _transient_errors(self.step):
            async with self.client.stream("POST", self.step.url, content=body, headers=headers) as response:
                if response.status_code != httpx2.codes.ACCEPTED:
                    return await self._read(response)
                status_url = self._status_url(response)
                delay = parse_retry_after(response.headers.get("Retry-After"))
        return await self._poll(status_url, key, delay)

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        secret = self.step.secret_bytes()
        headers = {"Accept": "application/json, application/x-ndjson"}
        return headers if secret is None else headers | signed_headers([secret], key, datetime.now(UTC), body)

    async def _read(self, response: httpx2.Response) -> StepMessage:
        await _raise_for_status(self.step, response)
        end: StepMessage | None = None
        async for line in _messages(response):
            if end is not None:
                raise InvalidMessage("The step sent a message after its result")
            end = handle(read_message(line), self.on_progress, self.on_log)
        if end is None:
            raise Transient(f"The endpoint '{self.step.name}' ended its answer without a result")
        return end

    def _status_url(self, response: httpx2.Response) -> str:
        url = resolve_redirect(response.url, response) if "Location" in response.headers else None
        if url is None:
            raise JobError(f"The endpoint '{self.step.name}' answered 202 without a usable Location")
        if not same_origin(url, self.step.url):
            raise JobError(f"The endpoint '{self.step.name}' answered 202 with a Location on another server")
        return url

    async def _poll(self, url: str, key: str, delay: float | None) -> StepMessage:
        clock = asyncio.get_running_loop()
        failing_since: float | None = None
        try:
            while True:
                await asyncio.sleep(min(max(_POLL_INTERVAL if delay is None else delay, 0.05), _MAX_POLL_INTERVAL))
                try:
                    end, delay = await self._poll_once(url, key)
                    failing_since = None
                except _Unreachable as error:
                    failing_since = clock.time() if failing_since is None else failing_since
                    if clock.time() - failing_since > _OUTAGE:
                        raise
                    delay = error.retry_after
                    continue
                if end is not None:
                    return end
        except asyncio.CancelledError:
            await asyncio.shield(self._cancel(url, key))
            raise

    async def _poll_once(self, url: str, key: str) -> tuple[StepMessage | None, float | None]:
        with _transient_errors(self.step):
            async with self.client.stream("GET", url, headers=self._headers(key, b"")) as response:
                await _raise_for_status(self.step, response)
                delay = parse_retry_after(response.headers.get("Retry-After"))
                body = b"".join([line async for line in _messages(response)])
        return handle(read_message(body), self.on_progress, self.on_log), delay

    async def _cancel(self, url: str, key: str) -> None:
        with suppress(httpx2.HTTPError):
            await self.client.delete(url, headers=self._headers(key, b""), timeout=_CANCEL_TIMEOUT)


def same_origin(url: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    first, second = httpx2.URL(url), httpx2.URL(other)
    return (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)


class _Unreachable(SourceUnreachable):
    """The endpoint does not respond, or has a temporary failure."""


class _transient_errors:
    """Translates errors of the connection."""

    def __init__(self, step: EndpointStep) -> None:
        self._step = step

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, httpx2.TransportError):
            text = f"The endpoint '{self._step.name}' at {redact_url(self._step.url)} did not answer"
            raise _Unreachable(f"{text} ({describe_error(error)})") from error


async def _raise_for_status(step: EndpointStep, response: httpx2.Response) -> None:
    status = response.status_code
    if status == httpx2.codes.OK:
        return
    text = f"The endpoint '{step.name}' answered {status}"
    if status in _TEMPORARY or status >= 500:
        raise _Unreachable(text, retry_after=parse_retry_after(response.headers.get("Retry-After")))
    if status in {401, 403, 404, 405} or 300 <= status < 400:
        raise ConfigurationError(f"{text}; the steps file names its URL and its secret")
    raise JobError(f"{text}: {(await _beginning(response)).decode('utf-8', 'replace').strip()}")


async def _messages(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield the lines of `application/x-ndjson`, or the whole of any other body."""
    is_stream = response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/x-ndjson"
    rest = b""
    async for chunk in response.aiter_bytes():
        rest += chunk
        if is_stream:
            *complete, rest = rest.split(b"\n")
            for line in complete:
                if line.strip():
                    yield line
        if len(rest) > MAX_MESSAGE_BYTES:
            raise InvalidMessage(f"The step sent a message of more than {MAX_MESSAGE_BYTES:,} bytes")
    if rest.strip():
        yield rest


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= 500:
            break
    return body[:500]
