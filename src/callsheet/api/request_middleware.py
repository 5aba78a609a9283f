"""The outermost layer: each request gets an id, a line in the log, and an answer whatever happens inside."""

import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callsheet.api.errors import render
from callsheet.domain.ids import new_id

log = structlog.get_logger(__name__)

_GIVEN = re.compile(r"[A-Za-z0-9_.:-]{8,128}")
_QUIET = frozenset({"/health", "/healthz", "/readyz", "/metrics"})


class RequestMiddleware:
    """Names requests, logs them, and turns what nobody caught into a problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request = given if _GIVEN.fullmatch(given) else str(new_id())
        scope.setdefault("state", {})["request_id"] = request
        status, began = 0, time.monotonic()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception as error:
            answer = render(scope, error)
            if status:
                # Half an answer is out already: the connection must break, or the client would take it for whole.
                raise
            await answer(scope, receive, named)
        finally:
            level = log.debug if scope["path"] in _QUIET else log.info
            level(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((time.monotonic() - began) * 1000),
                request=request,
            )
