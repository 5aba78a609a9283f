"""The application of a server that waits for its database."""

from importlib.metadata import version

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_ALIVE = ("/health", "/healthz")


class StartingApp:
    """Passes requests to `app` once it is set. Until then only the liveness check succeeds."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self._reason = ""

    def set_reason(self, reason: str) -> None:
        """Set the sentence that says why the database is waited for."""
        self._reason = reason

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _starting_response(Request(scope), self._reason)(scope, receive, send)


def _starting_response(request: Request, reason: str) -> Response:
    if request.url.path in _ALIVE:
        return Response(orjson.dumps({"status": "ok", "version": version("callsheet")}), media_type="application/json")
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": "database_not_ready",
        "detail": f"The server is starting and waits for its database. {reason}".strip(),
    }
    return Response(orjson.dumps(problem), 503, headers={"Retry-After": "5"}, media_type="application/problem+json")
