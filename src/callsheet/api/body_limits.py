"""Limits of request bodies: their size, by route, and the time that they may take to arrive."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callsheet.api.errors import ApiError
from callsheet.settings import Settings

DEFAULT_MAX_BYTES = 64 * 1024
"""Limit of routes that expect a form or a few fields."""
_CONSOLE_MAX_BYTES = 1024 * 1024
"""Limit of forms with plans and inputs. They are decoded on the event loop."""
_PICTURE_MAX_BYTES = 20 * 2**20
"""Limit of a picture that is searched by."""
_BODY_TIMEOUT = 30.0
"""Seconds for a small body."""
_SCHEDULE_MAX_BYTES = 2**20
"""Limit of schedules. They are decoded on the event loop."""
_MIN_RATE = 16 * 1024
"""Bytes per second at which a large body must arrive, beyond the timeout of a small one."""


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """The limit of the routes with this method whose path starts with `path`."""

    method: str
    path: str
    max_bytes: int


def body_limits(settings: Settings) -> list[BodyLimit]:
    """Return the limits of all routes that accept more than a small body."""
    return [
        *(
            BodyLimit("POST", path, settings.max_body_bytes)
            for path in ("/api/executions", "/api/execute", "/api/plans", "/api/batches")
        ),
        *(
            BodyLimit("POST", path, min(_CONSOLE_MAX_BYTES, settings.max_body_bytes))
            for path in ("/console/new", "/console/plans/")
        ),
        BodyLimit("PUT", "/api/schedules/", _SCHEDULE_MAX_BYTES),
        BodyLimit("POST", "/v1/videos", settings.max_body_bytes),
        BodyLimit("POST", "/api/webhooks/", settings.webhook_max_bytes),
        BodyLimit("POST", "/api/i2v-webhook/", settings.upload_max_bytes),
        *(BodyLimit("POST", path, settings.max_body_bytes) for path in ("/api/ads/touches", "/api/ads/metrics")),
        BodyLimit("PATCH", "/api/uploads/", settings.upload_max_bytes),
        # A form has some bytes besides the picture.
        *(BodyLimit("POST", path, _PICTURE_MAX_BYTES) for path in ("/api/ads/winners/similar", "/console/winners")),
    ]


class BodyLimitMiddleware:
    """Rejects bodies that are too large, by Content-Length or by the received bytes, or that arrive too slowly."""

    def __init__(self, app: ASGIApp, limits: Sequence[BodyLimit], default: int) -> None:
        """Use these limits, and `default` for all other routes, in bytes."""
        self._app = app
        self._limits = limits
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; raise ApiError with status 400, 408 or 413 for its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        content_length = headers.get("content-length")
        if content_length is not None and "transfer-encoding" in headers:
            # A proxy in front may follow the other header, and see other requests on this connection (smuggling).
            raise ApiError(400, "bad_request", "The request has both Content-Length and Transfer-Encoding.")
        max_bytes = self._max_bytes(scope)
        if content_length is not None and int(content_length) > max_bytes:
            raise _too_large(max_bytes)
        await self._app(scope, _BodyReader(receive, max_bytes).receive, send)

    def _max_bytes(self, scope: Scope) -> int:
        for limit in self._limits:
            if scope["method"] == limit.method and scope["path"].startswith(limit.path):
                return limit.max_bytes
        return self._default


class _BodyReader:
    """Counts and times the messages of a body. After its end it waits for the disconnect without a limit."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._received = 0
        self._began = time.monotonic()
        self._complete = False

    async def receive(self) -> Message:
        """Return the next message. Raises ApiError with status 408 or 413."""
        if self._complete:
            return await self._receive()
        remaining = self._began + _BODY_TIMEOUT + self._received / _MIN_RATE - time.monotonic()
        try:
            async with asyncio.timeout(max(0, remaining)):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(408, "body_timeout", "The body of the request arrived too slowly.") from None
        self._received += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            raise _too_large(self._max_bytes)
        return message


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, "too_large", f"The body is larger than {max_bytes:,} bytes.")
