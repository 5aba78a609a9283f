"""The connection of the Celery worker to its intake: a socket with one JSON document per line.

The worker sends `{"task": {…}, "number": 1}` and gets `{"number": 1, "error": null}` as soon as the message is stored,
or its error. It also sends `{"ready": true}` and `{"revoked": [ids]}`. The intake sends `{"open": [tasks]}` and
`{"closed": [ids]}`, for the list of active tasks.
"""

import itertools
import json
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any


class LinkClosed(Exception):
    """The intake has ended, or stops."""


class IntakeLink:
    """The worker's end. Usable by all threads of the worker."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[str | None]] = {}
        self._closed = False
        self.open_tasks: dict[str, dict[str, Any]] = {}
        """Tasks whose executions run, by id."""

    def read_configuration(self) -> dict[str, Any]:
        """Return the first document, which the intake sends at the start."""
        found: dict[str, Any] = json.loads(self._lines.readline())
        return found

    def start(self, on_close: Callable[[], None]) -> None:
        """Start to read. `on_close` is called when the intake has ended."""
        threading.Thread(target=self._read, args=(on_close,), name="intake link", daemon=True).start()

    def send(self, document: Mapping[str, Any]) -> None:
        """Send a document. Raises LinkClosed."""
        data = json.dumps(document).encode() + b"\n"
        try:
            with self._lock:
                self._connection.sendall(data)
        except OSError:
            raise LinkClosed from None

    def hand_over(self, task: Mapping[str, Any]) -> str | None:
        """Hand a message over, and wait until it is stored. Returns why it was rejected, or None. Raises LinkClosed."""
        number = next(self._numbers)
        answer: Future[str | None] = Future()
        with self._lock:
            if self._closed:
                raise LinkClosed
            self._waiting[number] = answer
        try:
            self.send({"task": task, "number": number})
            return answer.result()
        finally:
            self._waiting.pop(number, None)

    def _read(self, on_close: Callable[[], None]) -> None:
        try:
            for line in self._lines:
                self._receive(json.loads(line))
        except OSError:
            pass  # the same as the end of the stream
        finally:
            with self._lock:
                self._closed = True
                waiting = list(self._waiting.values())
            on_close()
            for answer in waiting:
                answer.set_exception(LinkClosed())

    def _receive(self, document: Mapping[str, Any]) -> None:
        if "number" in document:
            waiting = self._waiting.get(document["number"])
            if waiting is not None:
                waiting.set_result(document["error"])
        for task in document.get("open", ()):
            self.open_tasks[task["id"]] = task
        for task_id in document.get("closed", ()):
            self.open_tasks.pop(task_id, None)
