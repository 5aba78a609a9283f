"""Supervisor: a parent process that restarts a dead worker process, and replaces one that makes room for the next.

Parent and child are connected by the lifeline. A hung child is killed. While a job keeps all threads of the child from
running, the parent sends the heartbeat for it.

A child that recycles claims no more jobs, and says so. Its successor starts at once, and the child ends after its
running jobs, however long they take.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import structlog

from callsheet.domain.ids import new_id
from callsheet.processes.lifeline import DONE, FATAL
from callsheet.processes.supervised_child import Exit, SupervisedChild

log = structlog.get_logger(__name__)

DRAIN_SIGNAL, RECYCLE_SIGNAL = signal.SIGUSR1, signal.SIGUSR2
"""A worker process that gets the first one ends after its running jobs; with the second one, its successor starts."""

_STABLE_AFTER = 30.0
"""A child that ran longer than this, in seconds, resets the restart backoff."""
_MIN_DELAY, _MAX_DELAY = 0.2, 30.0
"""Seconds before a restart; doubled after each death in a row."""
_MANY_DEATHS = 3
"""Deaths in a row after which the child counts as one that does not stay up. A job may kill it once or twice."""
_DEATH_TIMEOUT = 5.0
"""Seconds to report the death of the child while this process stops."""


class Supervisor:
    """Keeps one child process running.

    `command` returns the command line for a child that registers as the worker with the given id; it also gets the ids
    of earlier children that still end their jobs. `on_death` is called with the worker id of each child that died.
    `on_silence` is called every `interval` seconds with that of a child that runs but does not report, so that it can
    send the heartbeat for it. `grace` is the time, in seconds, for running jobs to finish on stop.
    """

    def __init__(
        self,
        command: Callable[[UUID, Sequence[UUID]], Sequence[str]],
        *,
        env: Mapping[str, str],
        on_death: Callable[[UUID], Awaitable[None]],
        on_silence: Callable[[UUID], Awaitable[None]] | None = None,
        interval: float = 3.0,
        grace: float,
    ) -> None:
        self._command = command
        self._env = env
        self._on_death = on_death
        self._on_silence = on_silence
        self._interval = interval
        self._grace = grace
        self._children: list[SupervisedChild] = []
        """The children that run, oldest first. All but the last one end their jobs."""
        self._leaving: set[asyncio.Task[None]] = set()
        """They see off the children that have made room for a successor."""
        self._stops = 0
        self._stopping = asyncio.Event()
        self._ending = asyncio.Event()
        """Set when no further child is to be started."""
        self._deaths = 0
        """Deaths in a row."""
        self._last_cause = ""

    @property
    def trouble(self) -> str | None:
        """A sentence with the cause, while children die again and again; None if the child stays up."""
        if self._deaths < _MANY_DEATHS or self._ran_for() > _STABLE_AFTER:
            return None
        return f"The worker process died {self._deaths} times in a row; the last time: {self._last_cause}."

    def _ran_for(self) -> float:
        return time.monotonic() - self._children[-1].started_at if self._children else 0.0

    def stop(self) -> None:
        """Ask the child to stop. A second call makes it release its jobs at once, a third one kills it."""
        self._stops += 1
        self._ending.set()
        self._stopping.set()
        self._signal(signal.SIGTERM if self._stops < 3 else signal.SIGKILL)

    def drain(self) -> None:
        """Let the child end after its running jobs, however long they take. `stop` limits the time afterwards."""
        self._ending.set()
        self._signal(DRAIN_SIGNAL)

    def recycle(self) -> None:
        """Replace the child: its successor starts at once, and it ends after its running jobs.

        Does nothing while a child starts.
        """
        if self._children and self._children[-1].reports.has_started:
            self._children[-1].send_signal(RECYCLE_SIGNAL)

    async def run(self) -> int:
        """Run children until one exits on purpose, or `stop` or `drain` was called. Return its exit status.

        The number of restarts is unlimited; the delay between them grows.
        """
        try:
            code = await self._run_children()
            await asyncio.gather(*self._leaving)
            return code
        finally:
            for task in self._leaving:
                task.cancel()
            await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _run_children(self) -> int:
        is_first = True
        while True:
            worker = new_id()
            exited = await self._run_child(worker)
            if exited is None:
                if self._ending.is_set():
                    return 0
                self._deaths = 0
            elif exited.report == DONE or (exited.report == FATAL and is_first):
                return exited.code
            else:
                await self._report_death(worker)
                if self._ending.is_set() or not await self._pause_after(exited):
                    return _exit_status(exited.code)
            is_first = False

    async def _run_child(self, worker: UUID) -> Exit | None:
        """Run a child until it exits, or None: until it has made room for its successor."""
        command = self._command(worker, [child.worker for child in self._children])
        child = await SupervisedChild.start(worker, command, self._env)
        self._children.append(child)
        if self._ending.is_set():
            child.send_signal(signal.SIGTERM)
        exiting = asyncio.create_task(self._run_to_exit(child), name=f"worker process {child.pid}")
        recycling = asyncio.create_task(child.reports.recycling.wait())
        try:
            await asyncio.wait({exiting, recycling}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            exiting.cancel()
            await asyncio.gather(exiting, return_exceptions=True)
            raise
        finally:
            recycling.cancel()
        if not child.reports.recycling.is_set():
            return exiting.result()
        log.info("worker process makes room for its successor", pid=child.pid)
        leaving = asyncio.create_task(self._see_off(worker, exiting), name=f"leaving worker process {child.pid}")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        return None

    async def _run_to_exit(self, child: SupervisedChild) -> Exit:
        try:
            return await child.run(
                stopping=self._stopping, grace=self._grace, interval=self._interval, on_silence=self._on_silence
            )
        finally:
            self._children.remove(child)

    async def _see_off(self, worker: UUID, exiting: asyncio.Task[Exit]) -> None:
        """Wait for the exit of a child that has made room, and report its death if it was one."""
        try:
            exited = await exiting
        except asyncio.CancelledError:
            exiting.cancel()
            await asyncio.gather(exiting, return_exceptions=True)
            raise
        if exited.report != DONE:
            log.error("worker process died while it ended its jobs", cause=exited.cause)
            await self._report_death(worker)

    async def _report_death(self, worker: UUID) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DEATH_TIMEOUT if self._ending.is_set() else None):
                await self._on_death(worker)

    async def _pause_after(self, exited: Exit) -> bool:
        """Wait before the next child starts. Return whether it is to start."""
        self._deaths = 1 if exited.seconds > _STABLE_AFTER else self._deaths + 1
        self._last_cause = exited.cause
        delay = min(_MIN_DELAY * 2 ** (self._deaths - 1), _MAX_DELAY)
        log.error("worker process died, restarting it", cause=exited.cause, delay=round(delay, 1))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), delay)
        return not self._ending.is_set()

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            child.send_signal(number)


def _exit_status(code: int) -> int:
    """Return the exit status for a stopped child. A signal to stop counts as success: its handler was not yet there."""
    if code in (-signal.SIGTERM, -DRAIN_SIGNAL):
        return 0
    return 128 - code if code < 0 else code
