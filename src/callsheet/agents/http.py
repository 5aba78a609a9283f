"""The MCP server over HTTP, for agents that cannot start it as a child process."""

import hmac
import logging

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.agents.server import AgentServer
from callsheet.api.bind_check import is_loopback
from callsheet.api.server import Server
from callsheet.domain.errors import ConfigurationError

PATH = "/mcp"
_MAX_REQUEST_BYTES = 8 * 2**20
_MAX_SESSIONS = 100


class KeyMiddleware:
    """Passes on requests with the key as a bearer token, and responds 401 to others."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the key of an HTTP request."""
        if scope["type"] != "http" or self._is_allowed(scope):
            await self._app(scope, receive, send)
            return
        refusal = PlainTextResponse(
            "A valid key is needed; send CALLSHEET_MCP_KEY as `Authorization: Bearer …`.\n",
            401,
            {"WWW-Authenticate": "Bearer"},
        )
        await refusal(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        given = token.strip().encode(errors="replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._key)


def http_app(server: AgentServer, host: str, key: str | None) -> ASGIApp:
    """Return the web application of an MCP server that listens on `host`.

    Raises ConfigurationError if other machines could reach it without a key.
    """
    if key is None and not is_loopback(host):
        raise ConfigurationError(
            f"Listening on {host} without a key would let every machine that reaches it use Callsheet; set "
            "CALLSHEET_MCP_KEY (at least 16 characters), or listen on 127.0.0.1."
        )
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=_MAX_REQUEST_BYTES,
        max_sessions=_MAX_SESSIONS,
        transport_security=_host_check(required=key is None),
        host=host,
    )
    return app if key is None else KeyMiddleware(app, key)


def _host_check(*, required: bool) -> TransportSecuritySettings:
    """Return the check against DNS rebinding: a page that makes its own name resolve to this machine has no key."""
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=required,
        allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
        allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
    )


def make_http_server(app: ASGIApp) -> Server:
    """Return the web server of an application; `await server.serve(sockets=[…])` runs it until `server.stop()`."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=5)
    return Server(config, None)
