"""Limits for the path, the query and the headers of requests. All of them are searched and logged."""

from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.api.errors import ApiError

MAX_PATH_BYTES = 4_000
MAX_QUERY_BYTES = 8_000
MAX_HEADER_BYTES = 32_000


class HeadLimitMiddleware:
    """Rejects requests with a long path or query (414), or with long headers (431)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; raise ApiError with status 414 or 431 if a limit is exceeded."""
        if scope["type"] == "http":
            _check("path", len(scope.get("raw_path") or scope["path"].encode()), MAX_PATH_BYTES)
            _check("query", len(scope["query_string"]), MAX_QUERY_BYTES)
            size = sum(len(name) + len(value) for name, value in scope["headers"])
            if size > MAX_HEADER_BYTES:
                message = f"The headers have {size:,} bytes; at most {MAX_HEADER_BYTES:,} are allowed."
                raise ApiError(431, "headers_too_long", message)
        await self._app(scope, receive, send)


def _check(part: str, size: int, limit: int) -> None:
    if size > limit:
        raise ApiError(414, "url_too_long", f"The {part} of the URL has {size:,} bytes; at most {limit:,} are allowed.")
