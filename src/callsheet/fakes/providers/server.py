"""A web server inside the test process, whose connections can be cut."""

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


class _CuttableProtocol(H11Protocol):
    """Passes the transport to the app in the state of the request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {"transport": transport}
        super().connection_made(transport)


@asynccontextmanager
async def serve_app(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an app on a local port (0: a free one) until the block ends; yields its base URL."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    # uvicorn.Server takes tenths of a second to stop, and installs signal handlers.
    listener = await asyncio.get_running_loop().create_server(lambda: _CuttableProtocol(config, state, {}), _HOST, port)
    try:
        yield f"http://{_HOST}:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for connection in list(state.connections):
            _transport(connection).abort()
        await _cancel(state.tasks)


async def cut_connection(request: Request, *, after: bytes = b"") -> None:
    """Close the connection of a request, immediately or after some bytes, and wait until it is closed."""
    transport: asyncio.Transport = request.state.transport
    if after:
        transport.write(after)
        transport.close()
    else:
        transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _transport(connection: Any) -> asyncio.Transport:
    transport: asyncio.Transport = connection.transport
    return transport
