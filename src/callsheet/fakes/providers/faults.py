"""Faults of requests to a fake provider.

    replicate.inject_faults(submit=[RateLimited(after=2), CutConnection(accepted=True)], status=[Fail(503)])

Each request takes the next fault of its kind; without one, it succeeds. `accepted` is whether the provider processes
the request before the fault. A fault of your own is an async function of a FaultContext and of `respond`, which
processes the request and returns the normal response.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from callsheet.fakes.providers.server import cut_connection

Respond = Callable[[], Awaitable[Response]]
"""Processes the request and returns the normal response."""
ErrorResponse = Callable[[int, str], Response]
"""Creates an error response with a status and a message, in the provider's format."""


@dataclass(frozen=True, slots=True)
class FaultContext:
    """A request, and how the provider formats errors."""

    request: Request
    error_response: ErrorResponse


class Fault(Protocol):
    """Handles a request in place of the endpoint."""

    async def __call__(self, context: FaultContext, respond: Respond, /) -> Response:
        """Return the response."""


@dataclass(frozen=True, slots=True)
class NoFault:
    """The normal response."""

    async def __call__(self, _: FaultContext, respond: Respond) -> Response:
        """Return the normal response."""
        return await respond()


@dataclass(frozen=True, slots=True)
class Slow:
    """The normal response after a delay."""

    seconds: float

    async def __call__(self, _: FaultContext, respond: Respond) -> Response:
        """Return the normal response after the delay."""
        await asyncio.sleep(self.seconds)
        return await respond()


@dataclass(frozen=True, slots=True)
class RateLimited:
    """429 with a requested delay of `after` seconds; None: without a delay."""

    after: float | None = None
    form: str = "seconds"
    """Form of the delay: `seconds`, `date` or `ms`."""

    async def __call__(self, context: FaultContext, _: Respond) -> Response:
        """Return the error."""
        response = context.error_response(429, "Request was throttled.")
        response.headers.update(self._delay_header())
        return response

    def _delay_header(self) -> Mapping[str, str]:
        if self.after is None:
            return {}
        if self.form == "ms":
            return {"retry-after-ms": str(round(self.after * 1000))}
        if self.form == "date":
            then = datetime.now(UTC) + timedelta(seconds=self.after)
            return {"Retry-After": format_datetime(then, usegmt=True)}
        return {"Retry-After": f"{self.after:g}"}


@dataclass(frozen=True, slots=True)
class Reject:
    """4xx: the provider rejects the request."""

    status: int = 422
    message: str = "The input is not valid."

    async def __call__(self, context: FaultContext, _: Respond) -> Response:
        """Return the error."""
        return context.error_response(self.status, self.message)


@dataclass(frozen=True, slots=True)
class Fail:
    """5xx: the provider, or a proxy in front of it, fails."""

    status: int = 503
    accepted: bool = False

    async def __call__(self, context: FaultContext, respond: Respond) -> Response:
        """Return the error."""
        if self.accepted:
            await respond()
        return context.error_response(self.status, "Something went wrong.")


@dataclass(frozen=True, slots=True)
class CutConnection:
    """The connection is closed without a response, after the request was read."""

    accepted: bool = False

    async def __call__(self, context: FaultContext, respond: Respond) -> Response:
        """Close the connection."""
        response = await respond() if self.accepted else Response()
        await cut_connection(context.request)
        return response


@dataclass(frozen=True, slots=True)
class TruncateBody:
    """The connection is closed in the middle of the body."""

    declared_length: int | None = None
    """Value of Content-Length; None: the length of the complete body."""

    async def __call__(self, context: FaultContext, respond: Respond) -> Response:
        """Send half of the body and close the connection."""
        response = await respond()
        body = bytes(response.body)
        length = len(body) if self.declared_length is None else self.declared_length
        head = (
            f"HTTP/1.1 {response.status_code} OK\r\nContent-Type: {response.media_type}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        await cut_connection(context.request, after=head.encode() + body[: len(body) // 2])
        return response


@dataclass(frozen=True, slots=True)
class Garble:
    """A success with a meaningless body; by default half of a JSON document."""

    body: bytes = b'{"id": "half'
    accepted: bool = True

    async def __call__(self, _: FaultContext, respond: Respond) -> Response:
        """Return the meaningless body."""
        response = await respond() if self.accepted else Response()
        return Response(self.body, response.status_code, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect."""

    to: str
    status: int = 302

    async def __call__(self, _: FaultContext, __: Respond) -> Response:
        """Return the redirect."""
        return Response(status_code=self.status, headers={"Location": self.to})


@dataclass(frozen=True, slots=True)
class Flood:
    """A success with a body of `size` bytes."""

    size: int

    async def __call__(self, _: FaultContext, respond: Respond) -> Response:
        """Return the large body."""
        response = await respond()
        return Response(b" " * self.size, response.status_code, media_type=response.media_type)


@dataclass(frozen=True, slots=True)
class ReplaceFields:
    """The normal JSON response with some fields added, replaced, or (None) removed."""

    fields: Mapping[str, Any]

    async def __call__(self, _: FaultContext, respond: Respond) -> Response:
        """Return the changed response."""
        response = await respond()
        fields = {**json.loads(bytes(response.body)), **self.fields}
        body = json.dumps({key: value for key, value in fields.items() if value is not None})
        return Response(body, response.status_code, media_type="application/json")
