"""Runs the monitoring server of a worker process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from callsheet.api.monitor import monitor_app
from callsheet.api.server import Server, make_server
from callsheet.cli.listener import bind
from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings
from callsheet.settings.monitoring import DEFAULT_MONITOR_PORT
from callsheet.wiring import Runtime

log = structlog.get_logger(__name__)

_RETRY_DELAY = 5.0
"""Seconds until the next try to listen: the port may belong to the worker that this one replaces."""


@asynccontextmanager
async def monitoring(runtime: Runtime, *, follows: bool = False) -> AsyncIterator[None]:
    """Serve until the block ends, on the port of the settings, else on 3031. A worker works without the port, too.

    `follows`: an earlier process of the worker may have the port, until its jobs have ended.
    """
    settings = runtime.settings
    wanted = follows or settings.monitor_port is not None
    port = settings.monitor_port or DEFAULT_MONITOR_PORT
    serving = asyncio.create_task(_serve(runtime, settings.monitor_host, port, retries=wanted), name="monitor")
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _serve(runtime: Runtime, host: str, port: int, *, retries: bool) -> None:
    listener = await _listen(host, port, retries=retries)
    if listener is None:
        return
    with listener:
        address: Settings = runtime.settings.model_copy(update={"host": host, "port": port})
        server = make_server(monitor_app(runtime), address)
        log.info("the monitoring server listens", host=host, port=port)
        await _until_cancelled(server, listener)


async def _listen(host: str, port: int, *, retries: bool) -> socket.socket | None:
    is_first = True
    while True:
        try:
            return bind(host, port)
        except ConfigurationError as error:
            if is_first:
                log.warning("no monitoring server", reason=error.message, retries=retries)
            if not retries:
                return None
        is_first = False
        await asyncio.sleep(_RETRY_DELAY)


async def _until_cancelled(server: Server, listener: socket.socket) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
