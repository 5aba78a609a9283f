"""The lifeline: a socket pair between a supervisor and its child process.

The child reports over it that it exits on purpose. The exit status cannot show that, because a job may end the process
with any status. When the parent dies, its end closes, and the child terminates.

The child also reports that it is alive, with the time after which its silence means that it is hung, and that it makes
room for its successor.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time

from callsheet.logs import redact_secrets

LIFELINE = "CALLSHEET_LIFELINE"
"""Environment variable with the file descriptor of the child's end of the lifeline."""
RELEASE_TIMEOUT = 15.0
"""Seconds, after the grace period, for a stopping child to release its jobs."""

DONE, FATAL = b"done", b"fatal"
"""Reports of a child that exits on purpose, and of one that cannot start."""
_FAILED, _ALIVE, _RECYCLING = b"failed", b"alive ", b"recycling"
_MAX_REASON = 300
"""Characters of the reason of a failure. A report is sent at once or not at all."""


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
        self._send(DONE)

    def report_fatal(self, error: Exception) -> None:
        """Report that this process cannot start, and that a restart would not help."""
        self._send(FATAL + _reason(error))

    def report_failed(self, error: Exception) -> None:
        """Report why this process ends. It is restarted."""
        self._send(_FAILED + _reason(error))

    def report_recycling(self) -> None:
        """Report that this process claims no more jobs and ends after its running ones. Its successor is started."""
        self._send(_RECYCLING)

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
        time.sleep(self._grace + RELEASE_TIMEOUT)
        os.kill(os.getpid(), signal.SIGKILL)


def _reason(error: Exception) -> bytes:
    text = redact_secrets(f" {type(error).__name__}: {error}")
    return " ".join(text.split("\n"))[:_MAX_REASON].encode(errors="replace")


class Reports:
    """The reports of a child, read from the parent's end of the lifeline."""

    def __init__(self, parent_end: socket.socket) -> None:
        parent_end.setblocking(False)
        self._socket = parent_end
        self._unread = b""
        self.last = b""
        """The last report about the end of the child; empty if there was none."""
        self.recycling = asyncio.Event()
        """Set when the child claims no more jobs, so that its successor can start."""
        self._alive_at: float | None = None
        self._hung_at = float("inf")

    def read(self) -> bool:
        """Read all reports that have arrived. Return whether more can follow."""
        is_open = True
        with contextlib.suppress(BlockingIOError):
            try:
                while received := self._socket.recv(4096):
                    self._unread += received
                is_open = False
            except ConnectionError:
                is_open = False
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self._note(line)
        return is_open

    def _note(self, line: bytes) -> None:
        if line.startswith(_ALIVE):
            self._alive_at = time.monotonic()
            self._hung_at = self._alive_at + float(line.removeprefix(_ALIVE))
        elif line == _RECYCLING:
            self.recycling.set()
        else:
            self.last = line

    @property
    def has_started(self) -> bool:
        """Whether the child has reported that it runs: it handles signals."""
        return self._alive_at is not None

    def is_silent(self, seconds: float) -> bool:
        """Return whether the last report is older than this. A child that has not reported yet is not silent."""
        return self._alive_at is not None and time.monotonic() - self._alive_at > seconds

    @property
    def is_hung(self) -> bool:
        """Whether the child was silent for longer than it announced."""
        return time.monotonic() > self._hung_at
