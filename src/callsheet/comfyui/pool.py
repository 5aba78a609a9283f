"""The pool of ComfyUI servers of a worker: assigns a server to each job."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import structlog

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.drain import drained_servers
from callsheet.comfyui.errors import AccessDenied
from callsheet.comfyui.fault_marks import write_fault
from callsheet.comfyui.hosts import Host, parse_hosts
from callsheet.comfyui.known_nodes import is_stale, store_object_info
from callsheet.comfyui.managed_server import ManagedServer
from callsheet.comfyui.server import MANAGED_NAME, Server
from callsheet.domain.errors import BadParams, ConfigurationError, Problem, ProviderUnreachable
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_WARM_QUEUE_TOLERANCE = 2
"""A server with warm models is preferred while its queue is at most this much longer than the shortest one."""
_RECHECK_INTERVAL = 5.0
"""Seconds between two checks for a free server. Faults and drain marks end without a notification."""
_PROBE_TIMEOUT = 10.0
"""Seconds for which a server may be silent, such as during the garbage collection after a prompt."""

ServerFacts = list[dict[str, str | None]]
"""Name, state, reason and `since` of servers."""
OnWait = Callable[[str | None, bool, ServerFacts], Awaitable[None]]
"""Called with what a job waits for, whether that is only a free slot, and the servers; with None when it continues."""


@dataclass(frozen=True, slots=True)
class ServerRequirements:
    """What a job requires of a server."""

    tags: frozenset[str] = frozenset()
    name: str | None = None
    workflow: str | None = None
    """Equal for jobs that need the same models."""
    exclude: frozenset[str] = frozenset()
    """Names of servers that could not be started for this job."""
    wait_for_servers: bool = True
    """Whether to wait for servers that have a fault or are drained."""


class Pool:
    """The servers named in the settings, and the managed one.

    Opening a pool costs nothing: the settings are read when a job needs a server, and the managed server is started
    for its first job. `close` stops it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._servers: list[Server] | None = None
        self._changed = asyncio.Condition()
        self._waiting: list[ServerRequirements] = []
        """What the jobs that wait require, in their order. Each entry is a distinct object."""
        self._after_slot: set[asyncio.Task[Any]] = set()
        """Tasks whose prompt has ended. They do not need a slot any more."""
        self._watcher: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._learning: dict[str, asyncio.Task[None]] = {}

    @property
    def settings(self) -> Settings:
        """The settings of the servers."""
        return self._settings

    @property
    def servers(self) -> list[Server]:
        """All servers. Raises ConfigurationError when COMFYUI_API_URL is invalid."""
        if self._servers is None:
            self._servers = [Server(host, on_change=self._on_fault) for host in parse_hosts(self._settings)]
            if self._settings.comfyui_path is not None:
                self._servers.insert(0, Server(Host("", MANAGED_NAME), ManagedServer(self._settings)))
        return self._servers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the managed server, if it runs."""
        tasks = [*self._learning.values(), *([self._watcher] if self._watcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers or ():
            if server.managed is not None:
                await server.managed.close()

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` when `useful_jobs` may have grown."""
        self._listeners.append(listener)

    def useful_jobs(self) -> int:
        """Return how many jobs a worker should run now: those that have a slot or can get one, that wait for a server
        which others cannot take from them, or whose prompt has ended.

        Without a server that takes jobs, one job waits, so that people see why.
        """
        drained = drained_servers(self._settings)
        try:
            usable = [server for server in self.servers if server.name not in drained and server.fault is None]
        except ConfigurationError:
            return sys.maxsize  # the jobs fail with it
        active = sum(server.active_jobs for server in self.servers)
        if not usable:
            return active + len(self._after_slot) + max(1, len(self._waiting))
        free = [server for server in usable if server.has_free_slot]
        elsewhere = sum(not any(_matches(server, each) for server in free) for each in self._waiting)
        slots = sum(server.host.capacity - server.active_jobs for server in free)
        return active + slots + elsewhere + len(self._after_slot)

    def end_use(self) -> None:
        """Note that the job of the current task needs no slot any more, though it continues."""
        task = asyncio.current_task()
        if task is not None and task not in self._after_slot:
            self._after_slot.add(task)
            task.add_done_callback(self._after_slot.discard)

    def _on_fault(self, server: Server) -> None:
        """Mark the change of a fault, and ask the server until it responds."""
        write_fault(self._settings, server)
        if server.fault is not None and (self._watcher is None or self._watcher.done()):
            self._watcher = asyncio.create_task(self._watch_faults(), name="faulty ComfyUI servers")

    async def _watch_faults(self) -> None:
        while any(server.fault is not None for server in self.servers):
            await asyncio.sleep(_RECHECK_INTERVAL)
            await asyncio.gather(*(self._probe(server) for server in self.servers if server.is_probe_due))
            await self._notify()

    def find(self, name: str) -> Server | None:
        """Return the server with this name."""
        return next((server for server in self.servers if server.name == name), None)

    async def has_alternative(self, server: Server, requirements: ServerRequirements) -> bool:
        """Whether another server that meets the requirements responds now."""
        others = [each for each in self.servers if each is not server and _matches(each, requirements)]
        drained = drained_servers(self._settings)
        asked = [each for each in others if each.name not in drained and (each.fault is None or each.is_probe_due)]
        await asyncio.gather(*(self._probe(each) for each in asked))
        return any(each.fault is None for each in asked)

    async def _probe(self, server: Server) -> None:
        """Ask a server whether it responds, and record the answer."""
        if server.managed is not None:
            return  # the run that found it silent watches it
        if server.fault is not None:
            fault = server.fault
            server.record_fault(fault.kind, fault.reason, prompt=fault.prompt)  # not asked by others meanwhile
        async with self.client(server.host.url, timeout=_PROBE_TIMEOUT) as client:
            try:
                is_stuck = await self._is_stuck(server, client)
                if not is_stuck:
                    await client.queue_depth()
            except ProviderUnreachable as error:
                server.record_fault("unreachable", error.message)
            except AccessDenied as error:
                server.record_fault("unauthorized", error.message)
            else:
                if not is_stuck:
                    server.record_answer()

    async def _is_stuck(self, server: Server, client: ComfyUIClient) -> bool:
        """Whether a server that accepts prompts still runs none of them, or still the silent one."""
        kind = None if server.fault is None else server.fault.kind
        if kind == "silent" and server.silent_prompt is not None:
            return (await client.get_status(server.silent_prompt)).state == "running"
        return kind == "stuck" and await client.is_stuck()

    def learn_nodes(self, server: Server, url: str) -> None:
        """Keep what the nodes of a server take, for submissions, in the background and at most once an hour."""
        task = self._learning.get(server.name)
        if (task is None or task.done()) and is_stale(self._settings, server.name):
            self._learning[server.name] = asyncio.create_task(self._learn_nodes(server, url), name="comfyui nodes")

    async def _learn_nodes(self, server: Server, url: str) -> None:
        async with self.client(url) as client:
            try:
                info = await client.object_info()
            except ProviderUnreachable as error:
                log.info("the nodes of a ComfyUI server are not known", server=server.name, reason=error.message)
                return
        await asyncio.to_thread(store_object_info, self._settings, server.name, info)

    def client(self, url: str, *, timeout: float | None = None) -> ComfyUIClient:
        """Return a client of the server at `url`; its requests time out after COMFYUI_TIMEOUT_MS by default."""
        seconds = self._settings.comfyui_timeout.total_seconds()
        seconds = seconds if timeout is None else min(timeout, seconds)
        return ComfyUIClient(url, timeout=seconds, max_bytes=self._settings.source_max_bytes)

    @asynccontextmanager
    async def acquire(self, requirements: ServerRequirements, on_wait: OnWait) -> AsyncGenerator[Server, None]:
        """Hold a slot of the best server. Waits while all servers are full, do not respond or are drained; the jobs
        that wait get slots in their order.

        Raises BadParams when no server meets the requirements, AccessDenied when all of them reject the credentials,
        ProviderUnreachable when none responds and the job does not wait for servers.
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
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        for listener in self._listeners:
            listener()

    async def _take_slot(self, requirements: ServerRequirements, on_wait: OnWait) -> Server:
        reported: str | None = None
        ticket = replace(requirements)
        self._waiting.append(ticket)
        try:
            while True:
                usable = await self._usable(requirements)
                server = await self._select(requirements, [each for each in usable if self._is_turn(ticket, each)])
                if server is not None and server.has_free_slot:  # another job may have taken it during the selection
                    server.active_jobs += 1
                    if reported is not None:
                        await on_wait(None, False, [])
                    return server
                if server is None:
                    if (message := self._describe_wait(requirements)) != reported:
                        is_only_busy = bool(usable) or self._is_silent(requirements)
                        await on_wait(message, is_only_busy, self._wait_facts(requirements))
                        reported = message
                    await self._wait_for_change()
        finally:
            self._waiting = [each for each in self._waiting if each is not ticket]
            await self._notify()

    def _is_turn(self, ticket: ServerRequirements, server: Server) -> bool:
        """Whether a server has a slot for a job besides the jobs that wait longer for one."""
        ahead = 0
        for each in self._waiting:
            if each is ticket:
                break
            ahead += _matches(server, each)
        return server.active_jobs + ahead < server.host.capacity

    def _is_silent(self, requirements: ServerRequirements) -> bool:
        """Whether a server may only be busy with a long node."""
        matching = [server for server in self.servers if _matches(server, requirements)]
        return any(server.fault is not None and server.fault.kind == "silent" for server in matching)

    def _describe_wait(self, requirements: ServerRequirements) -> str:
        drained = drained_servers(self._settings)
        states = [
            f"{server.name} {'is drained' if server.name in drained else server.fault or 'is busy'}"
            for server in self.servers
            if _matches(server, requirements)
        ]
        return f"waits for a ComfyUI server: {'; '.join(states)}"

    def _wait_facts(self, requirements: ServerRequirements) -> ServerFacts:
        drained = drained_servers(self._settings)
        matching = [server for server in self.servers if _matches(server, requirements)]
        return [server_facts(server, is_drained=server.name in drained) for server in matching]

    async def _wait_for_change(self) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(_RECHECK_INTERVAL):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _usable(self, requirements: ServerRequirements) -> list[Server]:
        """Return the servers that could take a job if they had a free slot, after asking those that had a fault."""
        matching = [server for server in self.servers if _matches(server, requirements)]
        if not matching:
            raise BadParams([_no_match(requirements, self.servers)])
        remaining = [server for server in matching if server.name not in requirements.exclude]
        if not remaining:
            raise ProviderUnreachable(f"None of the ComfyUI servers responds: {_names(matching)}")
        drained = drained_servers(self._settings)
        await asyncio.gather(*(self._probe(server) for server in remaining if server.is_probe_due))
        faults = [server.fault for server in remaining]
        denied = [fault for fault in faults if fault is not None and fault.kind == "unauthorized"]
        if len(denied) == len(faults):
            raise AccessDenied(denied[0].reason)
        usable = [server for server in remaining if server.name not in drained and server.fault is None]
        if not usable and not requirements.wait_for_servers:
            reasons = "; ".join(f"{server.name} {server.fault or 'is drained'}" for server in remaining)
            raise ProviderUnreachable(f"None of the ComfyUI servers accepts jobs now: {reasons}")
        return usable

    async def _select(self, requirements: ServerRequirements, candidates: Sequence[Server]) -> Server | None:
        """Return the candidate with the shortest queue, or one with warm models; None when all are full."""
        free = [server for server in candidates if server.has_free_slot]
        if len(free) <= 1:
            return free[0] if free else None
        depths = await asyncio.gather(*(self._queue_depth(server) for server in free))
        known = [(depth, server) for depth, server in zip(depths, free, strict=True) if depth is not None]
        if not known:
            return None
        shortest = min(depth for depth, _ in known)

        def rank(item: tuple[int, Server]) -> tuple[bool, int]:
            depth, server = item
            warm = requirements.workflow is not None and server.last_workflow == requirements.workflow
            return not (warm and depth <= shortest + _WARM_QUEUE_TOLERANCE), depth

        return min(known, key=rank)[1]

    async def _queue_depth(self, server: Server) -> int | None:
        if server.managed is not None:
            return server.active_jobs
        async with self.client(server.host.url, timeout=_PROBE_TIMEOUT) as client:
            try:
                return max(await client.queue_depth(), server.active_jobs)
            except ProviderUnreachable as error:
                server.record_fault("unreachable", error.message)
            except AccessDenied as error:
                server.record_fault("unauthorized", error.message)
        return None


def server_facts(server: Server, *, is_drained: bool = False) -> dict[str, str | None]:
    """Return name, state, reason and start of a server that does not take a job now."""
    fault = server.fault
    state = "drained" if is_drained else fault.kind if fault else "busy"
    since = fault.since.isoformat(timespec="seconds") if fault else None
    return {"name": server.name, "state": state, "reason": fault.reason if fault else None, "since": since}


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
