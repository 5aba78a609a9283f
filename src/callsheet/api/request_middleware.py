"""The first middleware: request id, access log, and a response to every exception."""

import re
import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callsheet.api.errors import render_error
from callsheet.domain.ids import new_id

log = structlog.get_logger(__name__)

_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{8,128}")
_SECURITY_HEADERS = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
]
"""Headers of every response that sets no others. Pages allow what they need."""
_MAX_LOGGED_PATH = 500
"""Characters of a path in the log."""
_API_PREFIXES = ("/api/", "/v1/", "/files/", "/login", "/logout")
_QUIET_PATHS = frozenset({"/health", "/healthz", "/readyz", "/metrics"})
"""Paths that monitoring requests often."""


class RequestMiddleware:
    """Assigns request ids, logs requests, and renders uncaught exceptions as problem documents."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. A valid X-Request-ID of the client is kept, else a new id is generated."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _CLIENT_REQUEST_ID.fullmatch(given) else str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        status, began = 0, time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                names = {name for name, _ in headers}
                added = [header for header in _SECURITY_HEADERS if header[0] not in names]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode()), *added]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            response = render_error(scope, error)
            if status:
                # A part of the response is already sent. The connection must break, or the client would take the
                # part for the whole response.
                raise
            await response(scope, receive, send_with_id)
        finally:
            level = log.info if _is_logged(scope) else log.debug
            level(
                "request",
                method=scope["method"],
                path=scope["path"][:_MAX_LOGGED_PATH],
                status=status,
                duration_ms=round((time.monotonic() - began) * 1000),
                request_id=request_id,
            )


def _is_logged(scope: Scope) -> bool:
    """Return whether a request is logged at the level info: not those of monitoring, and of pages and their files."""
    return scope["path"] not in _QUIET_PATHS and scope["path"].startswith(_API_PREFIXES)
