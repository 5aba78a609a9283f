"""A job's session with one ComfyUI server, which may have to be started first."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server import MANAGED_NAME, Server
from callsheet.operation_api.contract import Context
from callsheet.operations.comfyui.log_forwarder import LogForwarder


@dataclass(frozen=True, slots=True)
class ServerSession:
    """An open connection to a server."""

    server: Server
    client: ComfyUIClient
    identity: str
    """Name of the server. For a managed server also the process, since a restart loses all its prompts."""
    check_alive: Callable[[], None]
    """Raises PromptLost when the process of a managed server has exited."""


@asynccontextmanager
async def open_session(job: Context, pool: Pool, server: Server) -> AsyncGenerator[ServerSession, None]:
    """Open a session. A managed server is started, and its output goes to the job's log."""
    if server.managed is None:
        async with pool.client(server.host.url) as client:
            yield ServerSession(server, client, server.name, lambda: None)
        return
    forwarder = LogForwarder(job)
    try:
        async with server.managed.use(forwarder.on_line) as process, pool.client(process.url) as client:
            yield ServerSession(server, client, f"{MANAGED_NAME} {process.id}", process.raise_if_exited)
    finally:
        forwarder.flush()


def find_server(pool: Pool, identity: str) -> Server | None:
    """Return the server with a recorded identity; None when it was removed from the settings, or has exited."""
    for server in pool.servers:
        if server.managed is None:
            if server.name == identity:
                return server
        elif (process := server.managed.process) is not None and f"{MANAGED_NAME} {process.id}" == identity:
            return server
    return None
