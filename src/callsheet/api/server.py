"""The web server of the application."""

import contextlib
import os
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette

from callsheet.api.http_protocol import ConnectionLimits, LimitedProtocol
from callsheet.api.starting_app import StartingApp
from callsheet.api.trusted_proxies import TrustedProxies
from callsheet.settings import Settings


class Server(uvicorn.Server):
    """Uvicorn server that ends event streams when it shuts down; plain uvicorn would wait for them.

    It handles no signals, because the process closes more than this server: call `stop`.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI | None) -> None:
        super().__init__(config)
        self.callsheet = app
        """The application whose event streams must end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals. Uvicorn would raise them again and end the process before the rest is closed."""
        yield

    def stop(self) -> None:
        """Make `serve` return as soon as the current responses are complete."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close listeners and event streams, and let the other current responses complete.

        What they changed is in the audit log then.
        """
        if self.callsheet is not None:
            self.callsheet.state.closing.set()
        await super().shutdown(sockets)
        if self.callsheet is not None:
            await self.callsheet.state.audit_writer.flush()


def make_server(app: FastAPI | Starlette | StartingApp, settings: Settings) -> Server:
    """Return a server for an app; `await server.serve()` runs it until `server.stop()`."""
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
    limits = ConnectionLimits(
        max_connections=settings.max_connections,
        max_per_address=settings.max_connections_per_address,
        head_timeout=settings.head_timeout,
        trusted=TrustedProxies(trusted),
    )
    config = uvicorn.Config(
        app,
        http=partial(LimitedProtocol, limits),  # type: ignore[arg-type] # called like the class
        ws="none",
        host=settings.host,
        port=settings.port,
        forwarded_allow_ips=trusted,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    return Server(config, app if isinstance(app, FastAPI) else None)
