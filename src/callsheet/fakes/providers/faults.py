"""What may happen to a request on its way: the weather between Callsheet and a provider.

    replicate.forecast(submit=[Busy(after=2), Cut(accepted=True)], look=[Fail(503)])

Each request takes the next of its kind; when none is left, the weather is fine. Where a weather has `accepted`, it
tells whether the provider has done what was asked before things went wrong. A weather of one's own is an async
function of the visit and of what answers it in fine weather.
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
"""Does what was asked, and gives the answer of fine weather."""
ErrorResponse = Callable[[int, str], Response]
"""Makes an error of a status with a message, in the provider's own words."""


@dataclass(frozen=True, slots=True)
class FaultContext:
    """One request, with the provider's way of saying no."""

    request: Request
    error_response: ErrorResponse


class Fault(Protocol):
    """Answers a request, or does not."""

    async def __call__(self, visit: FaultContext, answering: Respond, /) -> Response:
        """Return what is sent."""


@dataclass(frozen=True, slots=True)
class NoFault:
    """Nothing goes wrong."""

    async def __call__(self, _: FaultContext, answering: Respond) -> Response:
        """Answer."""
        return await answering()


@dataclass(frozen=True, slots=True)
class Slow:
    """The request is read, and the answer takes its time."""

    seconds: float

    async def __call__(self, _: FaultContext, answering: Respond) -> Response:
        """Answer late."""
        await asyncio.sleep(self.seconds)
        return await answering()


@dataclass(frozen=True, slots=True)
class RateLimited:
    """429. `after` seconds are asked for, as a number, as a date or in milliseconds; None: the answer asks nothing."""

    after: float | None = None
    form: str = "seconds"
    """`seconds`, `date` or `ms`"""

    async def __call__(self, visit: FaultContext, _: Respond) -> Response:
        """Refuse for now."""
        answer = visit.error_response(429, "Request was throttled.")
        answer.headers.update(self._wait())
        return answer

    def _wait(self) -> Mapping[str, str]:
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
    """4xx: the provider will not do it."""

    status: int = 422
    message: str = "The input is not valid."

    async def __call__(self, visit: FaultContext, _: Respond) -> Response:
        """Refuse."""
        return visit.error_response(self.status, self.message)


@dataclass(frozen=True, slots=True)
class Fail:
    """5xx: the provider, or something before it, fails."""

    status: int = 503
    accepted: bool = False

    async def __call__(self, visit: FaultContext, answering: Respond) -> Response:
        """Fail."""
        if self.accepted:
            await answering()
        return visit.error_response(self.status, "Something went wrong.")


@dataclass(frozen=True, slots=True)
class CutConnection:
    """The connection ends without an answer, once the request was read."""

    accepted: bool = False

    async def __call__(self, visit: FaultContext, answering: Respond) -> Response:
        """Hang up."""
        answer = await answering() if self.accepted else Response()
        await cut_connection(visit.request)
        return answer


@dataclass(frozen=True, slots=True)
class TruncateBody:
    """The answer ends in its middle. `told`: the length that its head names; None: the true one."""

    declared_length: int | None = None

    async def __call__(self, visit: FaultContext, answering: Respond) -> Response:
        """Hang up half-way."""
        answer = await answering()
        body = bytes(answer.body)
        length = len(body) if self.declared_length is None else self.declared_length
        head = (
            f"HTTP/1.1 {answer.status_code} OK\r\nContent-Type: {answer.media_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        await cut_connection(visit.request, after=head.encode() + body[: len(body) // 2])
        return answer


@dataclass(frozen=True, slots=True)
class Garble:
    """A success whose body says nothing that could be used: by default half a JSON document."""

    body: bytes = b'{"id": "half'
    accepted: bool = True

    async def __call__(self, _: FaultContext, answering: Respond) -> Response:
        """Answer nonsense."""
        answer = await answering() if self.accepted else Response()
        return Response(self.body, answer.status_code, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Redirect:
    """The answer is to be had elsewhere."""

    to: str
    status: int = 302

    async def __call__(self, _: FaultContext, __: Respond) -> Response:
        """Point there."""
        return Response(status_code=self.status, headers={"Location": self.to})


@dataclass(frozen=True, slots=True)
class Flood:
    """A success that does not end for so many bytes."""

    size: int

    async def __call__(self, _: FaultContext, answering: Respond) -> Response:
        """Answer far too much."""
        answer = await answering()
        return Response(b" " * self.size, answer.status_code, media_type=answer.media_type)


@dataclass(frozen=True, slots=True)
class ReplaceFields:
    """A JSON answer with some fields put in, replaced, or (None) left out."""

    fields: Mapping[str, Any]

    async def __call__(self, _: FaultContext, answering: Respond) -> Response:
        """Answer otherwise."""
        answer = await answering()
        told = {**json.loads(bytes(answer.body)), **self.fields}
        body = json.dumps({key: value for key, value in told.items() if value is not None})
        return Response(body, answer.status_code, media_type="application/json")
