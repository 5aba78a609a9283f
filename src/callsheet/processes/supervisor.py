"""Keeping a worker process alive: a parent that starts a new child when one dies.

Parent and child hold the two ends of a socket, the lifeline. The child tells over it that its end is in order, which
an exit status cannot prove: a job may end its process with any status. When the parent dies, its end closes, and the
child knows that it must go.
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

import structlog

from callsheet.domain.ids import new_id

log = structlog.get_logger(__name__)

LIFELINE = "CALLSHEET_LIFELINE"
"""Names the child's end of the lifeline, by its file descriptor."""

_DONE, _UNFIT = b"done", b"unfit"
_STEADY = 30.0
"""A child that lived for so many seconds was well; its death is the first of a new row."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_LAST_WORDS = 15.0
"""Seconds beyond the grace period that a stopping child has to hand its jobs back."""


class Lifeline:
    """The child's end. Without a supervising parent there is none, and nothing happens."""

    def __init__(self, descriptor: int | None, *, grace: float) -> None:
        """Begin to watch the parent; when it dies, this process gets SIGTERM, and SIGKILL after `grace` seconds."""
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)
        self._grace = grace
        if self._socket is not None:
            self._socket.set_inheritable(False)
            threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    @classmethod
    def from_environment(cls, *, grace: float) -> "Lifeline":
        """Take up the end that the parent left in the environment, so that no grandchild finds it there."""
        text = os.environ.pop(LIFELINE, None)
        return cls(int(text) if text else None, grace=grace)

    def report_done(self) -> None:
        """Say that this process ends in order."""
        self._tell(_DONE)

    def report_fatal(self) -> None:
        """Say that this process cannot start like this, so that trying again is of no use."""
        self._tell(_UNFIT)

    def _tell(self, word: bytes) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(word)

    def _watch(self) -> None:
        assert self._socket is not None  # noqa: S101 - only started with one
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._grace + _LAST_WORDS)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _ChildLife:
    code: int
    word: bytes
    seconds: float

    @property
    def how(self) -> str:
        return f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit status {self.code}"


class Supervisor:
    """Keeps one child running.

    `command` gives the argument list for a child that registers as the worker with the given id; `on_death` is told
    the id of each worker whose process died. `grace` is how many seconds a child may take to let its jobs end.
    """

    def __init__(
        self,
        command: Callable[[UUID], Sequence[str]],
        *,
        env: Mapping[str, str],
        on_death: Callable[[UUID], Awaitable[None]],
        grace: float,
    ) -> None:
        self._command = command
        self._env = env
        self._on_death = on_death
        self._grace = grace
        self._child: asyncio.subprocess.Process | None = None
        self._stops = 0
        self._stopping = asyncio.Event()

    @property
    def child_pid(self) -> int | None:
        """The process id of the child, None between two lives."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    def stop(self) -> None:
        """Ask the child to end; a second call makes it hand its jobs back at once, a third kills it."""
        self._stops += 1
        self._stopping.set()
        self._signal(signal.SIGTERM if self._stops < 3 else signal.SIGKILL)

    async def run(self) -> int:
        """Keep a child running until one ends in order, or after `stop`; return its exit status.

        Raises nothing for a child that dies, however often: the pause between two lives grows instead.
        """
        deaths = lives = 0
        while True:
            worker = new_id()
            life = await self._live(worker)
            lives += 1
            if life.word == _DONE or (life.word == _UNFIT and lives == 1):
                return life.code
            await self._on_death(worker)
            if self._stopping.is_set():
                return _exit_status(life.code)
            deaths = 1 if life.seconds > _STEADY else deaths + 1
            pause = min(_FIRST_PAUSE * 2 ** (deaths - 1), _LONGEST_PAUSE)
            log.error("worker process died, starting another", how=life.how, pause=round(pause, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            if self._stopping.is_set():
                return _exit_status(life.code)

    async def _live(self, worker: UUID) -> _ChildLife:
        born = time.monotonic()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._child = child = await asyncio.create_subprocess_exec(
                    *self._command(worker),
                    env={**self._env, LIFELINE: str(theirs.fileno())},
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # Out of reach of the terminal's Ctrl-C: the parent passes it on, once.
                    start_new_session=True,
                )
            try:
                if self._stopping.is_set():
                    self._signal(signal.SIGTERM)
                code = await self._ended(child)
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            ours.setblocking(False)
            with contextlib.suppress(OSError):
                return _ChildLife(code, ours.recv(64), time.monotonic() - born)
            return _ChildLife(code, b"", time.monotonic() - born)

    async def _ended(self, child: asyncio.subprocess.Process) -> int:
        waiting = asyncio.ensure_future(child.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            done, _ = await asyncio.wait({waiting}, timeout=self._grace + _LAST_WORDS)
            if not done:
                log.error("worker process does not stop, killing it", pid=child.pid)
                child.kill()
            return await waiting
        finally:
            stopping.cancel()
            waiting.cancel()

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)


def _exit_status(code: int) -> int:
    """A child that SIGTERM met before it could listen for it has ended as it was asked to."""
    if code == -signal.SIGTERM:
        return 0
    return 128 - code if code < 0 else code
