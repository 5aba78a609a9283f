"""The web server around the app."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """Uvicorn, which ends event streams when it shuts down: it would wait for them otherwise.

    It leaves signals alone, since more than the server ends with them: call `stop`.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._callsheet = app

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again, and end the process before the rest is closed."""
        yield

    def stop(self) -> None:
        """Have `serve` return, once answers that are under way are finished."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what listens and what streams, let answers that are under way finish."""
        self._callsheet.state.closing.set()
        await super().shutdown(sockets)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on, once it is started; of use where the port was left to the system."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return str(host), int(port)


def make_server(app: FastAPI, *, host: str, port: int) -> Server:
    """Return a server for an app; `await server.serve()` runs it until `server.stop()`."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    return Server(config, app)
