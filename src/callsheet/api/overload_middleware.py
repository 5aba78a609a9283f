"""Rejects requests beyond what a process can take (503), so that those it accepted are answered in time."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.api.errors import ApiError
from callsheet.domain.callers import ANONYMOUS
from callsheet.settings import Settings

_UNCOUNTED = ("/health", "/healthz", "/readyz", "/metrics")
_RETRY_AFTER = 1
"""Seconds."""


class OverloadMiddleware:
    """Counts the requests in progress and the announced sizes of their bodies.

    Requests to paths that need no key are counted apart: strangers cannot take the room of authenticated clients.

    A body of unknown size counts as one of the largest. Uploads and results of
    polled workers are not counted by size, because they go to the disk.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._requests = {True: 0, False: 0}
        """By whether the route needs no key."""
        self._bytes = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; raise ApiError with status 503 if there is no room for it."""
        if scope["type"] != "http" or _is_uncounted(scope):
            await self._app(scope, receive, send)
            return
        size, public = self._size(scope), scope["state"]["caller"] is ANONYMOUS
        in_use = self._bytes[public]
        max_bytes = self._settings.max_body_bytes_in_progress
        # A body that is larger than all together may be is not rejected for that: it is alone.
        is_full = size > 0 and in_use > 0 and in_use + size > max_bytes
        if is_full or self._requests[public] >= self._settings.max_requests:
            message = "The server has too many requests in progress. Retry in a moment."
            raise ApiError(503, "overloaded", message, retry_after=_RETRY_AFTER)
        self._requests[public] += 1
        self._bytes[public] += size
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests[public] -= 1
            self._bytes[public] -= size

    def _size(self, scope: Scope) -> int:
        headers = Headers(scope=scope)
        if scope["path"].startswith(("/api/uploads/", "/api/i2v-webhook/")):
            return 0
        length = headers.get("content-length", "")
        if length.isdecimal():
            return int(length)
        return self._settings.max_body_bytes if "transfer-encoding" in headers else 0


def _is_uncounted(scope: Scope) -> bool:
    path, method = scope["path"], scope["method"]
    is_stream = method == "GET" and (path.endswith(("/events", "/logs")) or path.startswith("/console/stream"))
    return is_stream or path in _UNCOUNTED
