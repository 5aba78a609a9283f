"""The web server of the application."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from callsheet.api.http_protocol import LimitedProtocol
from callsheet.api.starting_app import StartingApp


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
        """Close listeners and event streams, and let the other current responses complete."""
        if self.callsheet is not None:
            self.callsheet.state.closing.set()
        await super().shutdown(sockets)


def make_server(app: FastAPI | StartingApp, *, host: str, port: int) -> Server:
    """Return a server for an app; `await server.serve()` runs it until `server.stop()`."""
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    return Server(config, app if isinstance(app, FastAPI) else None)
