"""The ComfyUI servers of a worker: which one a job gets, and which ones get none for a while."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import structlog

from callsheet.comfyui.client import ComfyUI
from callsheet.comfyui.hosts import Host, parse_hosts
from callsheet.comfyui.managed_server import ManagedServer
from callsheet.domain.errors import BadParams, Problem, ProviderUnreachable
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

OWN = "own"
"""Name of the server that a worker runs itself."""
_FAILURES = 3
_FIRST_REST = 30.0
_LONGEST_REST = 1800.0
_WORTH_WAITING = 2
"""Prompts more in its queue that a server may have and still be preferred, since it has the workflow's models."""
_LOOK_AGAIN = 5.0

Say = Callable[[str], None]


@dataclass(eq=False, slots=True)
class Server:
    """One server as this worker knows it."""

    host: Host
    child: ManagedServer | None = None
    """Where the worker runs the server itself."""
    busy: int = 0
    """Jobs of this worker that are there."""
    last_workflow: str | None = None
    """What it ran last for us: its models are still in memory, most likely."""
    _failures: int = 0
    _resting_until: float = 0.0

    @property
    def name(self) -> str:
        """As in the settings."""
        return self.host.name

    @property
    def resting(self) -> float:
        """Seconds for which it gets no job, since several failed there one after the other; 0 if it gets some."""
        return max(0.0, self._resting_until - time.monotonic())

    def failed(self, reason: str) -> None:
        """Note that a job failed here for a reason that lies with the server."""
        self._failures += 1
        if self._failures >= _FAILURES:
            rest = min(_FIRST_REST * 2 ** min(self._failures - _FAILURES, 16), _LONGEST_REST)
            self._resting_until = time.monotonic() + rest
            log.warning("a ComfyUI server rests", server=self.name, seconds=rest, reason=reason)

    def worked(self, workflow: str | None) -> None:
        """Note that a job went well here."""
        self._failures, self._resting_until, self.last_workflow = 0, 0.0, workflow


@dataclass(frozen=True, slots=True)
class ServerRequirements:
    """What a job asks of a server."""

    tags: frozenset[str] = frozenset()
    name: str | None = None
    workflow: str | None = None
    """Equal for jobs that need the same models."""
    avoid: frozenset[str] = frozenset()
    """Names of servers that this job has just met with no answer."""
    patient: bool = True
    """Whether servers that rest, or are drained, are waited for."""


class Pool:
    """All servers. `drained` is a folder in which a file of a server's name keeps new jobs away from it."""

    def __init__(self, servers: Iterable[Server], settings: Settings) -> None:
        self.servers = list(servers)
        self._settings = settings
        self._changed = asyncio.Condition()

    def named(self, name: str) -> Server | None:
        """Return a server by its name."""
        return next((server for server in self.servers if server.name == name), None)

    def has_another(self, server: Server, wish: ServerRequirements) -> bool:
        """Tell whether a job could go to a server that is not this one."""
        return any(each is not server and _fits(each, wish) and not each.resting for each in self.servers)

    def client(self, url: str) -> ComfyUI:
        """Return a client of a server."""
        return ComfyUI(
            url, timeout=self._settings.comfyui_timeout.total_seconds(), max_bytes=self._settings.source_max_bytes
        )

    @asynccontextmanager
    async def acquire(self, wish: ServerRequirements, say: Say) -> AsyncGenerator[Server, None]:
        """Hold a place at the server that suits best; wait for one while all are full, and say so.

        Raises BadParams when no server is what is asked for, ProviderUnreachable when none answers.
        """
        server = await self._taken(wish, say)
        try:
            yield server
        finally:
            await self._release(server)

    @asynccontextmanager
    async def acquire_on(self, server: Server) -> AsyncGenerator[Server, None]:
        """Hold a place at a server that has this job's prompt already, however full it is."""
        server.busy += 1
        try:
            yield server
        finally:
            await self._release(server)

    async def _release(self, server: Server) -> None:
        server.busy -= 1
        async with self._changed:
            self._changed.notify_all()

    async def _taken(self, wish: ServerRequirements, say: Say) -> Server:
        said = False
        while True:
            server = await self._best(wish, self._open_to(wish))
            if server is None:
                if not said:
                    say("waits for a free ComfyUI server")
                    said = True
                await self._wait()
            elif server.busy < server.host.capacity:  # somebody else may have taken it meanwhile
                server.busy += 1
                return server

    async def _wait(self) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._changed.wait()
            except TimeoutError:
                return  # rests end, and marks of drained servers go, without a word

    def _open_to(self, wish: ServerRequirements) -> list[Server]:
        fit = [server for server in self.servers if _fits(server, wish)]
        if not fit:
            raise BadParams([_nobody(wish, self.servers)])
        left = [server for server in fit if server.name not in wish.avoid]
        if not left:
            raise ProviderUnreachable(f"None of the ComfyUI servers answers: {', '.join(s.name for s in fit)}")
        drained = drained_servers(self._settings)
        open_now = [server for server in left if server.name not in drained and not server.resting]
        if not open_now and not wish.patient:
            raise ProviderUnreachable(f"None of the ComfyUI servers takes jobs now: {', '.join(s.name for s in left)}")
        return open_now

    async def _best(self, wish: ServerRequirements, fit: Sequence[Server]) -> Server | None:
        free = [server for server in fit if server.busy < server.host.capacity]
        if len(free) <= 1:
            return free[0] if free else None
        depths = await asyncio.gather(*(self._depth(server) for server in free))
        known = [(depth, server) for depth, server in zip(depths, free, strict=True) if depth is not None]
        if not known:
            return free[0]
        least = min(depth for depth, _ in known)

        def order(item: tuple[int, Server]) -> tuple[bool, int]:
            depth, server = item
            warm = wish.workflow is not None and server.last_workflow == wish.workflow
            return not (warm and depth <= least + _WORTH_WAITING), depth

        return min(known, key=order)[1]

    async def _depth(self, server: Server) -> int | None:
        if server.child is not None:
            return server.busy
        async with self.client(server.host.url) as comfy:
            try:
                return max(await comfy.depth(), server.busy)
            except ProviderUnreachable as error:
                server.failed(error.message)
                return None


def _fits(server: Server, wish: ServerRequirements) -> bool:
    return wish.tags <= server.host.tags and wish.name in (None, server.name)


def _nobody(wish: ServerRequirements, servers: Sequence[Server]) -> Problem:
    there = "; ".join(f"{s.name} ({', '.join(sorted(s.host.tags)) or 'no tags'})" for s in servers)
    asked = f"is called '{wish.name}'" if wish.name else ""
    tagged = f"has the tags {', '.join(sorted(wish.tags))}" if wish.tags else ""
    what = " and ".join(filter(None, (asked, tagged)))
    return Problem("server" if wish.name else "tags", "no_such_server", f"no ComfyUI server {what}; there are: {there}")


# Servers that somebody takes out of use


def _marks(settings: Settings) -> Path:
    return settings.data_dir / "comfyui-drained"


def drained_servers(settings: Settings) -> frozenset[str]:
    """Return the names of the servers that get no new jobs, by somebody's word, from workers of this data folder."""
    folder = _marks(settings)
    return frozenset(mark.read_text() for mark in folder.iterdir()) if folder.is_dir() else frozenset()


def drain(settings: Settings, name: str, *, drained: bool) -> None:
    """Keep new jobs away from a server, or let them come again. What runs there goes on."""
    folder = _marks(settings)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / name.encode().hex()
    if drained:
        mark.write_text(name)
    else:
        mark.unlink(missing_ok=True)


# One pool a process

_OF_A_POOL = {"data_dir", *(name for name in Settings.model_fields if name.startswith("comfyui_"))}
_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "Pool"]] = WeakKeyDictionary()


def pool_of(settings: Settings) -> Pool:
    """Return the pool that all jobs of this process share."""
    pools = _POOLS.setdefault(asyncio.get_running_loop(), {})
    key = settings.model_dump_json(include=_OF_A_POOL)
    if key not in pools:
        pools[key] = open_pool(settings)
    return pools[key]


def open_pool(settings: Settings) -> Pool:
    """Make a pool of the servers that the settings name; raises ConfigurationError for what cannot be read."""
    servers = [Server(host) for host in parse_hosts(settings)]
    if settings.comfyui_path is not None:
        servers.insert(0, Server(Host("", OWN), ManagedServer(settings)))
    return Pool(servers, settings)


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How a server was found."""

    server: Server
    reachable: bool
    reason: str | None = None
    """Why it cannot be reached."""
    version: str | None = None
    waiting: int = 0
    """Prompts that wait or run there, of whomever."""
    devices: tuple[dict[str, Any], ...] = field(default=())


async def check_servers(pool: Pool) -> list[ServerHealth]:
    """Ask every server how it is."""
    return list(await asyncio.gather(*(_health(pool, server) for server in pool.servers)))


async def _health(pool: Pool, server: Server) -> ServerHealth:
    if server.child is not None:
        return ServerHealth(server, reachable=False, reason="a worker runs it when a job needs it")
    async with pool.client(server.host.url) as comfy:
        try:
            stats, waiting = await asyncio.gather(comfy.stats(), comfy.depth())
        except ProviderUnreachable as error:
            return ServerHealth(server, reachable=False, reason=error.message)
    system = stats.get("system") or {}
    return ServerHealth(server, True, None, system.get("comfyui_version"), waiting, tuple(stats.get("devices") or ()))
