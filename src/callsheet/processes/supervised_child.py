"""One child process of a supervisor: start it, speak for it while it is silent, wait for its exit."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import psutil
import structlog

from callsheet.processes.lifeline import LIFELINE, RELEASE_TIMEOUT, Reports

log = structlog.get_logger(__name__)

_NOT_RUNNING = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child process exited."""

    code: int
    report: bytes
    """The kind of its last report over the lifeline, empty if there was none."""
    reason: str
    """The reason in that report, empty if there was none."""
    seconds: float
    """Its run time."""

    @property
    def cause(self) -> str:
        """Why it ended, in words."""
        cause = f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit status {self.code}"
        return f"{cause}, {self.reason}" if self.reason else cause


class SupervisedChild:
    """A running child process that is registered as the worker `worker`. Created by `start`."""

    def __init__(self, worker: UUID, process: asyncio.subprocess.Process, parent_end: socket.socket) -> None:
        self.worker = worker
        self._process = process
        self._parent_end = parent_end
        self.started_at = time.monotonic()
        self.reports = Reports(parent_end)
        asyncio.get_running_loop().add_reader(parent_end, self._read)

    @classmethod
    async def start(cls, worker: UUID, command: Sequence[str], env: Mapping[str, str]) -> Self:
        """Start a command with its end of the lifeline."""
        parent_end, child_end = socket.socketpair()
        try:
            with child_end:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env={**env, LIFELINE: str(child_end.fileno())},
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(child_end.fileno(),),
                    # Its own session, so that Ctrl-C in the terminal reaches the parent only, which forwards it once.
                    start_new_session=True,
                )
        except BaseException:
            parent_end.close()
            raise
        return cls(worker, process, parent_end)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has exited."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def run(
        self,
        *,
        stopping: asyncio.Event,
        grace: float,
        interval: float,
        on_silence: Callable[[UUID], Awaitable[None]] | None,
    ) -> Exit:
        """Wait for its exit, with the meanings of `Supervisor`. It is killed some time after `stopping` is set."""
        watching = asyncio.create_task(self._watch(interval, on_silence), name="watch the worker process")
        try:
            code = await self._wait_for_exit(stopping, grace)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            self._read()
            asyncio.get_running_loop().remove_reader(self._parent_end)
            self._parent_end.close()
        kind, _, reason = self.reports.last.partition(b" ")
        return Exit(code, kind, reason.decode(errors="replace"), time.monotonic() - self.started_at)

    def _read(self) -> None:
        if not self.reports.read():
            asyncio.get_running_loop().remove_reader(self._parent_end)

    async def _watch(self, interval: float, on_silence: Callable[[UUID], Awaitable[None]] | None) -> None:
        """Speak for a child that runs but cannot report, and kill it when it is hung."""
        while True:
            await asyncio.sleep(interval)
            # A stopped child (SIGSTOP) does no work: its jobs are rescued, and it finds out when it continues.
            if not self.reports.is_silent(1.5 * interval) or not _is_running(self.pid):
                continue
            if self.reports.is_hung:
                log.error("worker process is hung, killing it", pid=self.pid)
                self.send_signal(signal.SIGKILL)
                return
            if on_silence is not None:
                await on_silence(self.worker)

    async def _wait_for_exit(self, stopping: asyncio.Event, grace: float) -> int:
        exiting = asyncio.ensure_future(self._process.wait())
        stop = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait({exiting, stop}, return_when=asyncio.FIRST_COMPLETED)
            done, _ = await asyncio.wait({exiting}, timeout=grace + RELEASE_TIMEOUT)
            if not done:
                log.error("worker process does not stop, killing it", pid=self.pid)
                self._process.kill()
            return await exiting
        finally:
            stop.cancel()
            exiting.cancel()


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in _NOT_RUNNING
    except psutil.NoSuchProcess:
        return False
