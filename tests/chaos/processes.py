"""The programs of the deployment: started, killed, frozen, and started again as a service manager does."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from callsheet.testing.waiters import until

MARK = "CALLSHEET_CHAOS_RUN"
"""Environment variable that all processes of one run share, also their child processes."""
_RESTART_DELAY = 0.5


class Program:
    """`callsheet <arguments>`, started again whenever it ends."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.unexpected_ends: list[int] = []
        """Exit statuses of ends that no fault caused."""
        self._arguments = arguments
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._was_killed = False
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the program, and keep it running."""
        self._launch()
        self._keeper = asyncio.create_task(self._keep())

    def kill(self) -> bool:
        """Kill the program itself, not its child processes."""
        self._was_killed = True
        return self._signal_all([self._process.pid] if self._process else [], signal.SIGKILL)

    def kill_child(self) -> bool:
        """Kill the child processes of the program: of a supervisor, the worker."""
        return self._signal_all(self._children(), signal.SIGKILL)

    async def freeze(self, seconds: float) -> bool:
        """Stop the program and its child processes for some time."""
        frozen = [*self._children(), *([self._process.pid] if self._process else [])]
        done = self._signal_all(frozen, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal_all(frozen, signal.SIGCONT)
        return done

    async def stop(self, seconds: float) -> bool:
        """Stop the program gracefully. Returns whether it ended within the time; afterwards it is killed."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._process is None or self._process.poll() is not None:
            return True
        self._process.terminate()
        try:
            await until(lambda: self._process.poll() is not None, timeout=seconds)
        except (TimeoutError, AssertionError):
            self._signal_all([*self._children(), self._process.pid], signal.SIGKILL)
            self._process.wait(10)
            return False
        return True

    def log_tail(self, size: int = 1500) -> str:
        """Return the end of the log."""
        return self.log.read_bytes()[-size:].decode(errors="replace")

    def _launch(self) -> None:
        self._was_killed = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "callsheet", *self._arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_RESTART_DELAY)
            if self._process is not None and (status := self._process.poll()) is not None:
                if not self._was_killed:
                    self.unexpected_ends.append(status)
                self._launch()

    def _children(self) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(self._process.pid).children()] if self._process else []
        except psutil.NoSuchProcess:
            return []

    @staticmethod
    def _signal_all(pids: list[int], number: int) -> bool:
        sent = False
        for pid in pids:
            try:
                os.kill(pid, number)
                sent = True
            except ProcessLookupError:
                continue
        return sent


def marked_processes(mark: str) -> list[psutil.Process]:
    """Return the living processes of a run."""
    return [process for process in psutil.process_iter() if _mark_of(process) == mark]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
