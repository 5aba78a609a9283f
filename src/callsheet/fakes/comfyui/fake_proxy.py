"""Middleware of the fake server: cross-site protection, and a proxy in front of an unavailable server."""

from typing import Protocol

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class HasAvailability(Protocol):
    """The part of the fake server that this middleware reads."""

    unavailable: bool
    denied: int | None
    refuse_websockets: bool


class FakeProxy:
    """Rejects cross-site requests, and responds like a proxy while the server is unavailable."""

    def __init__(self, app: ASGIApp, server: HasAvailability) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        names = {name for name, _ in scope.get("headers", ())}
        if scope["type"] == "http" and b"origin" in names:
            await Response(status_code=403)(scope, receive, send)
        elif scope["type"] == "http" and self._server.denied:
            await PlainTextResponse("Access denied", self._server.denied)(scope, receive, send)
        elif scope["type"] == "http" and self._server.unavailable:
            await PlainTextResponse("Bad Gateway", 502)(scope, receive, send)
        elif scope["type"] == "websocket" and self._server.refuse_websockets:
            await send({"type": "websocket.close"})  # before it is accepted: status 403
        elif scope["type"] == "websocket" and self._server.unavailable:
            await send({"type": "websocket.close", "code": 1013})
        else:
            await self._app(scope, receive, send)
