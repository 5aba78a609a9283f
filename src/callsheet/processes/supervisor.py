"""Supervisor: a parent process that restarts a dead worker process.

Parent and child are connected by a socket pair, the lifeline. The child reports over it that it exits on purpose. The
exit status cannot show that, because a job may end the process with any status. When the parent dies, its end closes,
and the child terminates.

The child also reports that it is alive, with the time after which its silence means that it is hung. While a job keeps
all threads of the child from running, the parent sends the heartbeat for it. A hung child is killed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import psutil
import structlog

from callsheet.domain.ids import new_id
from callsheet.logs import redact_secrets

log = structlog.get_logger(__name__)

LIFELINE = "CALLSHEET_LIFELINE"
"""Environment variable with the file descriptor of the child's end of the lifeline."""

_DONE, _FATAL, _FAILED, _ALIVE = b"done", b"fatal", b"failed", b"alive "
_MAX_REASON = 300
"""Characters of the reason of a failure. A report is sent at once or not at all."""
_NOT_RUNNING = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
_STABLE_AFTER = 30.0
"""A child that ran longer than this, in seconds, resets the restart backoff."""
_MIN_DELAY, _MAX_DELAY = 0.2, 30.0
"""Seconds before a restart; doubled after each death in a row."""
_MANY_DEATHS = 3
"""Deaths in a row after which the child counts as one that does not stay up. A job may kill it once or twice."""
_RELEASE_TIMEOUT = 15.0
"""Seconds, after the grace period, for a stopping child to release its jobs."""
_DEATH_TIMEOUT = 5.0
"""Seconds to report the death of the child while this process stops."""


class Lifeline:
    """The child's end of the lifeline. Does nothing in a process without a supervisor."""

    def __init__(self, descriptor: int | None, *, grace: float) -> None:
        """Watch the parent. When it dies, send SIGTERM to this process, and SIGKILL some time after `grace` seconds."""
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)
        self._grace = grace
        if self._socket is not None:
            self._socket.set_inheritable(False)
            threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    @classmethod
    def from_environment(cls, *, grace: float) -> "Lifeline":
        """Open the descriptor from the environment, and remove the variable so that child processes do not see it."""
        text = os.environ.pop(LIFELINE, None)
        return cls(int(text) if text else None, grace=grace)

    @property
    def is_connected(self) -> bool:
        """Whether this process has a supervisor."""
        return self._socket is not None

    def report_done(self) -> None:
        """Report that this process exits on purpose."""
        self._send(_DONE)

    def report_fatal(self, error: Exception) -> None:
        """Report that this process cannot start, and that a restart would not help."""
        self._send(_FATAL + _reason(error))

    def report_failed(self, error: Exception) -> None:
        """Report why this process ends. It is restarted."""
        self._send(_FAILED + _reason(error))

    def report_alive(self, allowed_silence: float) -> None:
        """Report that this process runs. Without another report within these seconds, it is hung and killed."""
        self._send(_ALIVE + f"{allowed_silence:.1f}".encode())

    def kill(self) -> None:
        """End this process at once."""
        os.kill(os.getpid(), signal.SIGKILL)

    def _send(self, message: bytes) -> None:
        if self._socket is not None:
            # Without waiting: the buffer may be full while the parent is stopped.
            with contextlib.suppress(OSError):
                self._socket.send(message + b"\n", socket.MSG_DONTWAIT)

    def _watch(self) -> None:
        assert self._socket is not None  # noqa: S101 - only started with one
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._grace + _RELEASE_TIMEOUT)
        os.kill(os.getpid(), signal.SIGKILL)


def _reason(error: Exception) -> bytes:
    text = redact_secrets(f" {type(error).__name__}: {error}")
    return " ".join(text.split("\n"))[:_MAX_REASON].encode(errors="replace")


class _Reports:
    """The reports of a child, read from the parent's end of the lifeline."""

    def __init__(self, parent_end: socket.socket) -> None:
        parent_end.setblocking(False)
        self._socket = parent_end
        self._unread = b""
        self.last = b""
        """The last report other than `alive`; empty if there was none."""
        self._alive_at: float | None = None
        self._hung_at = float("inf")

    def read(self) -> None:
        """Read all reports that have arrived."""
        with contextlib.suppress(OSError):
            while received := self._socket.recv(4096):
                self._unread += received
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            if line.startswith(_ALIVE):
                self._alive_at = time.monotonic()
                self._hung_at = self._alive_at + float(line.removeprefix(_ALIVE))
            else:
                self.last = line

    def is_silent(self, seconds: float) -> bool:
        """Return whether the last report is older than this. A child that has not reported yet is not silent."""
        return self._alive_at is not None and time.monotonic() - self._alive_at > seconds

    @property
    def is_hung(self) -> bool:
        """Whether the child was silent for longer than it announced."""
        return time.monotonic() > self._hung_at


@dataclass(frozen=True, slots=True)
class _Exit:
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
        cause = f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit status {self.code}"
        return f"{cause}, {self.reason}" if self.reason else cause


class Supervisor:
    """Keeps one child process running.

    `command` returns the command line for a child that registers as the worker with the given id. `on_death` is called
    with the worker id of each child that died. `on_silence` is called every `interval` seconds with that of a child
    that runs but does not report, so that it can send the heartbeat for it. `grace` is the time, in seconds, for
    running jobs to finish on stop.
    """

    def __init__(
        self,
        command: Callable[[UUID], Sequence[str]],
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
        self._child: asyncio.subprocess.Process | None = None
        self._stops = 0
        self._stopping = asyncio.Event()
        self._deaths = 0
        """Deaths in a row."""
        self._last_cause = ""
        self._started_at: float | None = None
        """Start of the child that runs, by the monotonic clock."""

    @property
    def trouble(self) -> str | None:
        """A sentence with the cause, while children die again and again; None if the child stays up."""
        if self._deaths < _MANY_DEATHS or self._ran_for() > _STABLE_AFTER:
            return None
        return f"The worker process died {self._deaths} times in a row; the last time: {self._last_cause}."

    def _ran_for(self) -> float:
        return 0.0 if self._started_at is None else time.monotonic() - self._started_at

    def stop(self) -> None:
        """Ask the child to stop. A second call makes it release its jobs at once, a third one kills it."""
        self._stops += 1
        self._stopping.set()
        self._signal(signal.SIGTERM if self._stops < 3 else signal.SIGKILL)

    async def run(self) -> int:
        """Run children until one exits on purpose or `stop` was called. Return its exit status.

        The number of restarts is unlimited; the delay between them grows.
        """
        children = 0
        while True:
            worker = new_id()
            exited = await self._run_child(worker)
            children += 1
            if exited.report == _DONE or (exited.report == _FATAL and children == 1):
                return exited.code
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DEATH_TIMEOUT if self._stopping.is_set() else None):
                    await self._on_death(worker)
            if self._stopping.is_set():
                return _exit_status(exited.code)
            self._deaths = 1 if exited.seconds > _STABLE_AFTER else self._deaths + 1
            self._last_cause = exited.cause
            delay = min(_MIN_DELAY * 2 ** (self._deaths - 1), _MAX_DELAY)
            log.error("worker process died, restarting it", cause=exited.cause, delay=round(delay, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            if self._stopping.is_set():
                return _exit_status(exited.code)

    async def _run_child(self, worker: UUID) -> _Exit:
        self._started_at = started = time.monotonic()
        parent_end, child_end = socket.socketpair()
        with parent_end:
            with child_end:
                self._child = child = await asyncio.create_subprocess_exec(
                    *self._command(worker),
                    env={**self._env, LIFELINE: str(child_end.fileno())},
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(child_end.fileno(),),
                    # Its own session, so that Ctrl-C in the terminal reaches the parent only, which forwards it once.
                    start_new_session=True,
                )
            reports = _Reports(parent_end)
            watching = asyncio.create_task(self._watch(child, worker, reports), name="watch the worker process")
            try:
                if self._stopping.is_set():
                    self._signal(signal.SIGTERM)
                code = await self._wait_for_exit(child)
            finally:
                self._started_at = None
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            reports.read()
            kind, _, reason = reports.last.partition(b" ")
            return _Exit(code, kind, reason.decode(errors="replace"), time.monotonic() - started)

    async def _watch(self, child: asyncio.subprocess.Process, worker: UUID, reports: _Reports) -> None:
        """Speak for a child that runs but cannot report, and kill it when it is hung."""
        while True:
            await asyncio.sleep(self._interval)
            reports.read()
            # A stopped child (SIGSTOP) does no work: its jobs are rescued, and it finds out when it continues.
            if not reports.is_silent(1.5 * self._interval) or not _is_running(child.pid):
                continue
            if reports.is_hung:
                log.error("worker process is hung, killing it", pid=child.pid)
                self._signal(signal.SIGKILL)
                return
            if self._on_silence is not None:
                await self._on_silence(worker)

    async def _wait_for_exit(self, child: asyncio.subprocess.Process) -> int:
        exiting = asyncio.ensure_future(child.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({exiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            done, _ = await asyncio.wait({exiting}, timeout=self._grace + _RELEASE_TIMEOUT)
            if not done:
                log.error("worker process does not stop, killing it", pid=child.pid)
                child.kill()
            return await exiting
        finally:
            stopping.cancel()
            exiting.cancel()

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in _NOT_RUNNING
    except psutil.NoSuchProcess:
        return False


def _exit_status(code: int) -> int:
    """Return the exit status for a stopped child. SIGTERM counts as success: its handler was not yet installed."""
    if code == -signal.SIGTERM:
        return 0
    return 128 - code if code < 0 else code
