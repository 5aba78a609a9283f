"""Rejects requests beyond what a process can take (503), so that those it accepted are answered in time."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.api.auth_middleware import is_public_path
from callsheet.api.errors import ApiError

MAX_REQUESTS = 500
"""Requests in progress, event streams and health checks not counted."""
MAX_BODY_BYTES = 128 * 2**20
"""Bytes of all bodies of requests in progress together."""

_UNCOUNTED = ("/health", "/healthz", "/readyz", "/metrics")
_RETRY_AFTER = 1
"""Seconds."""


class OverloadMiddleware:
    """Counts the requests in progress and the announced sizes of their bodies.

    Requests to paths that need no key are counted apart: strangers cannot take the room of authenticated clients.

    A body of unknown size counts as `unknown_bytes`. Uploads and results of
    polled workers are not counted by size, because they go to the disk.
    """

    def __init__(self, app: ASGIApp, *, unknown_bytes: int) -> None:
        self._app = app
        self._unknown_bytes = unknown_bytes
        self._requests = {True: 0, False: 0}
        """By whether the path is public."""
        self._bytes = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; raise ApiError with status 503 if there is no room for it."""
        if scope["type"] != "http" or _is_uncounted(scope):
            await self._app(scope, receive, send)
            return
        size, public = self._size(scope), is_public_path(scope["path"])
        in_use = self._bytes[public]
        if self._requests[public] >= MAX_REQUESTS or (size > 0 and in_use > 0 and in_use + size > MAX_BODY_BYTES):
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
        return self._unknown_bytes if "transfer-encoding" in headers else 0


def _is_uncounted(scope: Scope) -> bool:
    path, method = scope["path"], scope["method"]
    is_stream = method == "GET" and (path.endswith(("/events", "/logs")) or path.startswith("/console/stream"))
    return is_stream or path in _UNCOUNTED
