"""The first middleware: request id, access log, and a response to every exception."""

import re
import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from callsheet.api.errors import render_error
from callsheet.metrics import catalog
from callsheet.metrics.changes import count, observe, status_class
from callsheet.tracing import Attributes, Span, is_tracing, span

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
        request_id = given if _CLIENT_REQUEST_ID.fullmatch(given) else str(uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        status, first_byte, began = 0, 0.0, time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status, first_byte
            if message["type"] == "http.response.start":
                status, first_byte = message["status"], time.monotonic()
                headers = message["headers"]
                names = {name for name, _ in headers}
                added = [header for header in _SECURITY_HEADERS if header[0] not in names]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode()), *added]
            await send(message)

        given_trace = Headers(scope=scope).get("traceparent") if is_tracing() else None
        request_span = span(scope["method"], kind="server", parent=given_trace, attributes=_facts(scope, request_id))
        try:
            with request_span as current:
                try:
                    await self._app(scope, receive, send_with_id)
                finally:
                    _name(current, scope, status)
        except Exception as error:
            response = render_error(scope, error)
            if status:
                # A part of the response is already sent. The connection must break, or the client would take the
                # part for the whole response.
                raise
            await response(scope, receive, send_with_id)
        finally:
            if status:
                route = scope["state"].get("route")
                name = "none" if route is None else route.name
                count(catalog.HTTP_REQUESTS, name, status_class(status))
                observe(catalog.HTTP_LATENCY, first_byte - began, name)
            level = log.info if _is_logged(scope) else log.debug
            level(
                "request",
                method=scope["method"],
                path=scope["path"][:_MAX_LOGGED_PATH],
                status=status,
                duration_ms=round((time.monotonic() - began) * 1000),
                request_id=request_id,
            )


def _facts(scope: Scope, request_id: str) -> Attributes:
    return {"http.request.method": scope["method"], "callsheet.request": request_id} if is_tracing() else {}


def _name(current: Span, scope: Scope, status: int) -> None:
    route = scope["state"].get("route")
    if route is not None:
        current.rename(f"{scope['method']} {route.name}")
    current.add({"http.response.status_code": status})
    if status >= 500:
        current.fail(f"HTTP {status}")


def _is_logged(scope: Scope) -> bool:
    """Return whether a request is logged at the level info: not those of monitoring, and of pages and their files."""
    return scope["path"] not in _QUIET_PATHS and scope["path"].startswith(_API_PREFIXES)
