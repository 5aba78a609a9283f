"""Health check of the servers of a pool."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.drain import drained_since
from callsheet.comfyui.errors import AccessDenied
from callsheet.comfyui.fault_marks import read_faults
from callsheet.comfyui.parsing import sanitize_text
from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server import Server, ServerFault
from callsheet.comfyui.websocket import websocket_refusal
from callsheet.domain.errors import ProviderUnreachable

State = Literal["reachable", "busy", "unreachable", "unauthorized", "stuck", "silent", "drained", "managed"]
"""`busy`: it has as many prompts as its capacity. `stuck`: it accepts prompts and runs none. `silent`: its running
prompt shows no sign of life.
"""
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The result of one health check."""

    server: Server
    state: State
    reason: str | None = None
    """Why it gets no prompts, or what does not work."""
    since: datetime | None = None
    """When it was drained; or when the fault was seen first, if a worker with the same data folder has seen it."""
    version: str | None = None
    """None: it did not respond."""
    queue_depth: int = 0
    """Queued and running prompts, of all clients."""
    devices: tuple[dict[str, Any], ...] = field(default=())
    """GPUs and their memory, as ComfyUI reports them."""


async def check_servers(pool: Pool) -> list[ServerHealth]:
    """Check all servers at the same time. Raises ConfigurationError when COMFYUI_API_URL is invalid."""
    faults, drained = read_faults(pool.settings), drained_since(pool.settings)
    found = await asyncio.gather(*(_check(pool, server, faults.get(server.name)) for server in pool.servers))
    return [_with_drain(health, drained.get(health.server.name)) for health in found]


async def _check(pool: Pool, server: Server, fault: ServerFault | None) -> ServerHealth:
    if server.managed is not None:
        if fault is not None:
            return ServerHealth(server, fault.kind, fault.reason, fault.since)
        return ServerHealth(server, "managed", "a worker starts it when a job needs it")
    since = None if fault is None else fault.since
    async with pool.client(server.host.url, timeout=_TIMEOUT) as client:
        try:
            stats, depth = await asyncio.gather(client.system_stats(), client.queue_depth())
            is_stuck = fault is not None and await _is_stuck(client, fault)
        except ProviderUnreachable as error:
            return ServerHealth(server, "unreachable", error.message, since)
        except AccessDenied as error:
            return ServerHealth(server, "unauthorized", error.message, since)
    system = stats.get("system") or {}
    state: State = "busy" if depth >= server.host.capacity else "reachable"
    refusal = await websocket_refusal(server.host.url, timeout=_TIMEOUT)
    reason = None if refusal is None else f"its websocket cannot be reached ({refusal}): jobs run without progress"
    if is_stuck and fault is not None:
        state, reason = fault.kind, fault.reason
    return ServerHealth(
        server,
        state,
        reason,
        since if is_stuck else None,
        sanitize_text(system.get("comfyui_version")),
        depth,
        tuple(stats.get("devices") or ()),
    )


async def _is_stuck(client: ComfyUIClient, fault: ServerFault) -> bool:
    """Whether a server that responds still runs no prompt, or one without a sign of life."""
    if fault.kind == "silent" and fault.prompt is not None:
        return (await client.get_status(fault.prompt)).state == "running"
    return fault.kind == "stuck" and await client.is_stuck()


def _with_drain(health: ServerHealth, since: datetime | None) -> ServerHealth:
    """Return the health of a server, as drained if it is. Its own fault stays in the reason."""
    if since is None:
        return health
    fault = "" if health.reason is None or health.state == "managed" else f"; {health.reason}"
    reason = f"it gets no new jobs until `callsheet comfyui resume`{fault}"
    return replace(health, state="drained", reason=reason, since=since)
