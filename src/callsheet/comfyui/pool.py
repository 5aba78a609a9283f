"""The pool of ComfyUI servers of a worker: assigns a server to each job."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.drain import drained_servers
from callsheet.comfyui.hosts import Host, parse_hosts
from callsheet.comfyui.managed_server import ManagedServer
from callsheet.comfyui.server import MANAGED_NAME, Server
from callsheet.domain.errors import BadParams, Problem, ProviderUnreachable
from callsheet.settings import Settings

_WARM_QUEUE_TOLERANCE = 2
"""A server with warm models is preferred while its queue is at most this much longer than the shortest one."""
_RECHECK_INTERVAL = 5.0
"""Seconds between two checks for a free server. Cooldowns and drain marks end without a notification."""

OnWait = Callable[[str], None]
"""Called once with a message when a job has to wait for a server."""


@dataclass(frozen=True, slots=True)
class ServerRequirements:
    """What a job requires of a server."""

    tags: frozenset[str] = frozenset()
    name: str | None = None
    workflow: str | None = None
    """Equal for jobs that need the same models."""
    exclude: frozenset[str] = frozenset()
    """Names of servers that did not respond to this job."""
    wait_for_servers: bool = True
    """Whether to wait for servers that cool down or are drained."""


class Pool:
    """The servers named in the settings, and the managed one.

    Opening a pool costs nothing: the settings are read when a job needs a server, and the managed server is started
    for its first job. `close` stops it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._servers: list[Server] | None = None
        self._changed = asyncio.Condition()

    @property
    def servers(self) -> list[Server]:
        """All servers. Raises ConfigurationError when COMFYUI_API_URL is invalid."""
        if self._servers is None:
            self._servers = [Server(host) for host in parse_hosts(self._settings)]
            if self._settings.comfyui_path is not None:
                self._servers.insert(0, Server(Host("", MANAGED_NAME), ManagedServer(self._settings)))
        return self._servers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the managed server, if it runs."""
        for server in self._servers or ():
            if server.managed is not None:
                await server.managed.close()

    def find(self, name: str) -> Server | None:
        """Return the server with this name."""
        return next((server for server in self.servers if server.name == name), None)

    def has_alternative(self, server: Server, requirements: ServerRequirements) -> bool:
        """Whether another server could take the job now."""
        return any(each is not server and _matches(each, requirements) and not each.cooldown for each in self.servers)

    def client(self, url: str) -> ComfyUIClient:
        """Return a client of the server at `url`."""
        timeout = self._settings.comfyui_timeout.total_seconds()
        return ComfyUIClient(url, timeout=timeout, max_bytes=self._settings.source_max_bytes)

    @asynccontextmanager
    async def acquire(self, requirements: ServerRequirements, on_wait: OnWait) -> AsyncGenerator[Server, None]:
        """Hold a slot of the best server. Waits while all servers are full.

        Raises BadParams when no server meets the requirements, ProviderUnreachable when none of them responds.
        """
        server = await self._take_slot(requirements, on_wait)
        try:
            yield server
        finally:
            await self._release(server)

    @asynccontextmanager
    async def acquire_on(self, server: Server) -> AsyncGenerator[Server, None]:
        """Hold a slot of the server that already has the job's prompt, even if all its slots are taken."""
        server.active_jobs += 1
        try:
            yield server
        finally:
            await self._release(server)

    async def _release(self, server: Server) -> None:
        server.active_jobs -= 1
        async with self._changed:
            self._changed.notify_all()

    async def _take_slot(self, requirements: ServerRequirements, on_wait: OnWait) -> Server:
        reported = False
        while True:
            server = await self._select(requirements, self._candidates(requirements))
            if server is None:
                if not reported:
                    on_wait("waits for a free ComfyUI server")
                    reported = True
                await self._wait_for_change()
            elif server.has_free_slot:  # another job may have taken it during the selection
                server.active_jobs += 1
                return server

    async def _wait_for_change(self) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(_RECHECK_INTERVAL):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _candidates(self, requirements: ServerRequirements) -> list[Server]:
        matching = [server for server in self.servers if _matches(server, requirements)]
        if not matching:
            raise BadParams([_no_match(requirements, self.servers)])
        remaining = [server for server in matching if server.name not in requirements.exclude]
        if not remaining:
            raise ProviderUnreachable(f"None of the ComfyUI servers responds: {_names(matching)}")
        drained = drained_servers(self._settings)
        available = [server for server in remaining if server.name not in drained and not server.cooldown]
        if not available and not requirements.wait_for_servers:
            raise ProviderUnreachable(f"None of the ComfyUI servers accepts jobs now: {_names(remaining)}")
        return available

    async def _select(self, requirements: ServerRequirements, candidates: Sequence[Server]) -> Server | None:
        """Return the candidate with the shortest queue, or one with warm models; None when all are full."""
        free = [server for server in candidates if server.has_free_slot]
        if len(free) <= 1:
            return free[0] if free else None
        depths = await asyncio.gather(*(self._queue_depth(server) for server in free))
        known = [(depth, server) for depth, server in zip(depths, free, strict=True) if depth is not None]
        if not known:
            return free[0]
        shortest = min(depth for depth, _ in known)

        def rank(item: tuple[int, Server]) -> tuple[bool, int]:
            depth, server = item
            warm = requirements.workflow is not None and server.last_workflow == requirements.workflow
            return not (warm and depth <= shortest + _WARM_QUEUE_TOLERANCE), depth

        return min(known, key=rank)[1]

    async def _queue_depth(self, server: Server) -> int | None:
        if server.managed is not None:
            return server.active_jobs
        async with self.client(server.host.url) as client:
            try:
                return max(await client.queue_depth(), server.active_jobs)
            except ProviderUnreachable as error:
                server.record_failure(error.message)
                return None


def _matches(server: Server, requirements: ServerRequirements) -> bool:
    return requirements.tags <= server.host.tags and requirements.name in (None, server.name)


def _no_match(requirements: ServerRequirements, servers: Sequence[Server]) -> Problem:
    known = "; ".join(f"{s.name} ({', '.join(sorted(s.host.tags)) or 'no tags'})" for s in servers)
    name = f"has the name '{requirements.name}'" if requirements.name else ""
    tags = f"has the tags {', '.join(sorted(requirements.tags))}" if requirements.tags else ""
    conditions = " and ".join(filter(None, (name, tags)))
    path = "server" if requirements.name else "tags"
    return Problem(path, "no_such_server", f"no ComfyUI server {conditions}; known servers: {known}")


def _names(servers: Sequence[Server]) -> str:
    return ", ".join(server.name for server in servers)
