"""The child process with the Celery worker."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_MAX_LINE = 64 * 2**20
"""Bytes of one message."""
_STOP_TIMEOUT = 10.0
"""Seconds in which a worker returns its messages and ends."""


class WorkerProcess:
    """A running worker. It ends when the socket is closed, also if this process is killed."""

    def __init__(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._writer = writer
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        configuration: Mapping[str, Any],
        on_document: Callable[["WorkerProcess", dict[str, Any]], None],
        on_end: Callable[[int], None],
    ) -> "WorkerProcess":
        """Start a worker. `on_document` receives what it sends, `on_end` its exit status."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "callsheet.intake.celery.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                # Ctrl-C goes to the intake, which lets the worker return its messages.
                start_new_session=True,
                # Modules of the user are found as in this process.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=_MAX_LINE)
        worker = cls(process, writer)
        worker.send(configuration)
        worker._reading = asyncio.create_task(worker._read(reader, on_document, on_end), name="celery worker")
        return worker

    async def _read(
        self,
        reader: asyncio.StreamReader,
        on_document: Callable[["WorkerProcess", dict[str, Any]], None],
        on_end: Callable[[int], None],
    ) -> None:
        with contextlib.suppress(ConnectionError):  # the same as the end of the stream
            async for line in reader:
                if line.endswith(b"\n"):
                    on_document(self, json.loads(line))
        await self.stop()
        on_end(self._process.returncode or 0)

    def send(self, document: Mapping[str, Any]) -> None:
        """Send a document, if the worker still runs. What it would answer is delivered again otherwise."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(document).encode() + b"\n")

    async def stop(self) -> None:
        """Close the socket, and wait until the worker has returned its messages."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT)
        except TimeoutError:
            log.warning("the Celery worker does not stop, killing it", pid=self._process.pid)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
