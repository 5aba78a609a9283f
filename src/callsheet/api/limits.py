"""Limit for the size of request bodies."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callsheet.api.errors import ApiError


class BodyLimitMiddleware:
    """Rejects requests with a body of more than `max_bytes` bytes, by Content-Length or by the received bytes.

    `by_route` has other limits, by method and the start of the path.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, by_route: Mapping[tuple[str, str], int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._by_route = by_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; raise ApiError with status 413 if its body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._limit(scope)
        content_length = Headers(scope=scope).get("content-length", "")
        if content_length.isdecimal() and int(content_length) > max_bytes:
            raise _too_large(max_bytes)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _too_large(max_bytes)
            return message

        await self._app(scope, receive_counted, send)

    def _limit(self, scope: Scope) -> int:
        routes = self._by_route.items()
        matching = (limit for (method, path), limit in routes if scope["method"] == method and _starts(scope, path))
        return next(matching, self._max_bytes)


def _starts(scope: Scope, path: str) -> bool:
    return bool(scope["path"].startswith(path))


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, "too_large", f"The body is larger than {max_bytes:,} bytes.")
