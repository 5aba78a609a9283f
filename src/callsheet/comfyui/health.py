"""Health check of the servers of a pool."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server import Server
from callsheet.domain.errors import ProviderUnreachable


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The result of one health check."""

    server: Server
    reachable: bool
    reason: str | None = None
    """Why it is not reachable."""
    version: str | None = None
    queue_depth: int = 0
    """Queued and running prompts, of all clients."""
    devices: tuple[dict[str, Any], ...] = field(default=())
    """GPUs and their memory, as ComfyUI reports them."""


async def check_servers(pool: Pool) -> list[ServerHealth]:
    """Check all servers at the same time."""
    return list(await asyncio.gather(*(_check(pool, server) for server in pool.servers)))


async def _check(pool: Pool, server: Server) -> ServerHealth:
    if server.managed is not None:
        return ServerHealth(server, reachable=False, reason="a worker starts it when a job needs it")
    async with pool.client(server.host.url) as client:
        try:
            stats, depth = await asyncio.gather(client.system_stats(), client.queue_depth())
        except ProviderUnreachable as error:
            return ServerHealth(server, reachable=False, reason=error.message)
    system = stats.get("system") or {}
    return ServerHealth(server, True, None, system.get("comfyui_version"), depth, tuple(stats.get("devices") or ()))
