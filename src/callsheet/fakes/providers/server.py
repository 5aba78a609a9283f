"""A web server inside the test's own process, whose connections can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_HOST = "127.0.0.1"


class _Cuttable(H11Protocol):
    """Hands the connection to the app, in the state of the request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {"transport": transport}
        super().connection_made(transport)


@asynccontextmanager
async def serve_app(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an app on a port of this machine until the block ends, 0: a free one; yields its base URL."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    # uvicorn's own server takes tenths of a second to stop, and minds signals.
    listener = await asyncio.get_running_loop().create_server(lambda: _Cuttable(config, state, {}), _HOST, port)
    try:
        yield f"http://{_HOST}:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for connection in list(state.connections):
            _transport(connection).abort()
        await _end(state.tasks)


async def cut_connection(request: Request, *, after: bytes = b"") -> None:
    """Cut the connection of a request, at once or behind some bytes, and wait until it is gone."""
    transport: asyncio.Transport = request.state.transport
    if after:
        transport.write(after)
        transport.close()
    else:
        transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _transport(connection: Any) -> asyncio.Transport:
    transport: asyncio.Transport = connection.transport
    return transport
