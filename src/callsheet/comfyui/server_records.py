"""Records of the servers of a pool, as the API, the console and the command line show them."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from callsheet.comfyui.health import ServerHealth, State, check_servers
from callsheet.comfyui.parsing import sanitize_text
from callsheet.comfyui.pool import Pool
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.model import Model
from callsheet.files.fetch import redact_url

_FRESH = 3.0
"""Seconds for which a check of the servers is used again."""


class DeviceRecord(Model):
    """A GPU, or the CPU, of a server."""

    name: str = Field(examples=["cuda:0 NVIDIA GeForce RTX 4090"])
    free: int | None = Field(None, description="Bytes of its memory that are free")
    total: int | None = Field(None, description="Bytes of its memory")


class ServerRecord(Model):
    """A ComfyUI server."""

    name: str = Field(examples=["gpu1"])
    url: str | None = Field(description="Without a password. None: a worker starts the server itself")
    state: State = Field(
        description="`reachable`; `busy`: as many prompts as its capacity; `unreachable`; `unauthorized`: it rejects "
        "user and password; `stuck`: it accepts prompts and runs none; `silent`: its running prompt shows "
        "no sign of life; `drained`; `managed`: a worker starts it"
    )
    reason: str | None = Field(None, description="Why it gets no jobs, or what does not work")
    since: datetime | None = Field(
        None, description="When that began, as far as it was seen by a worker with the data folder of this process"
    )
    version: str | None = Field(None, description="Version of ComfyUI, if it responds")
    queue: int | None = Field(None, description="Queued and running prompts, of all clients, if it responds")
    capacity: int = Field(description="Prompts that one worker runs there at the same time")
    tags: list[str]
    devices: list[DeviceRecord] = Field(default_factory=list)


def server_record(health: ServerHealth) -> ServerRecord:
    """Return the record of a server that was checked."""
    host = health.server.host
    return ServerRecord(
        name=host.name,
        url=redact_url(host.url).rstrip("/") if host.url else None,
        state=health.state,
        reason=health.reason,
        since=health.since,
        version=health.version,
        queue=None if health.version is None else health.queue_depth,
        capacity=host.capacity,
        tags=sorted(host.tags),
        devices=[_device(each) for each in health.devices if isinstance(each, Mapping)],
    )


def _device(fields: Mapping[str, Any]) -> DeviceRecord:
    free, total = fields.get("vram_free"), fields.get("vram_total")
    return DeviceRecord(
        name=sanitize_text(fields.get("name")),
        free=free if isinstance(free, int) else None,
        total=total if isinstance(total, int) else None,
    )


class ServerListing:
    """The servers of a pool, for many readers: those of the same 3 seconds share one check."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._check: asyncio.Task[list[ServerRecord]] | None = None
        self._checked_at = 0.0
        self.latest: list[ServerRecord] = []
        """Result of the last check that has ended."""
        self.problem: str | None = None
        """Why the settings name no servers: they are invalid."""

    async def read(self) -> list[ServerRecord]:
        """Return the servers as they are now, or were within the last 3 seconds; none if the settings are invalid."""
        is_old = time.monotonic() - self._checked_at >= _FRESH
        if self._check is None or (self._check.done() and is_old):
            self._checked_at = time.monotonic()
            self._check = asyncio.create_task(self._read(), name="ComfyUI servers")
        return await asyncio.shield(self._check)

    async def close(self) -> None:
        """Stop a check that still runs."""
        if self._check is not None:
            self._check.cancel()
            await asyncio.gather(self._check, return_exceptions=True)

    async def _read(self) -> list[ServerRecord]:
        try:
            self.latest = [server_record(health) for health in await check_servers(self._pool)]
            self.problem = None
        except ConfigurationError as error:
            self.latest, self.problem = [], error.message
        return self.latest
