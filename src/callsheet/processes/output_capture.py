"""Capture of what a job prints and logs: `print`, `logging`, structlog and warnings.

A context variable says to which job the running code belongs. Tasks and threads of the job inherit it. While any job
runs, `sys.stdout` and `sys.stderr` are replaced by streams that follow this variable.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

_LEVEL = logging.INFO
"""The lowest level of log records that are captured."""
_MAX_LINE = 8_000
"""Characters. A longer line is split."""
_STREAM_LEVELS = {"stdout": "info", "stderr": "warning"}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line in the log of a job."""

    at: datetime
    level: str
    """`debug`, `info`, `warning`, `error` or `critical`."""
    logger: str
    """Name of the logger; `stdout` or `stderr` for printed lines."""
    message: str


class OutputCapture:
    """Passes the output of one run to `sink`, line by line, from any thread."""

    def __init__(self, sink: Callable[[LogLine], None]) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._unfinished = dict.fromkeys(_STREAM_LEVELS, "")
        self._token: Token[OutputCapture | None] | None = None
        self.is_open = True

    def __enter__(self) -> None:
        self._token = _current.set(self)
        _installation.enter()

    def __exit__(self, *_: object) -> None:
        assert self._token is not None  # noqa: S101 - set by __enter__
        _current.reset(self._token)
        self.close()
        _installation.leave()

    def write(self, stream: str, text: str) -> None:
        """Add text that was written to `stdout` or `stderr`."""
        with self._lock:
            *lines, rest = (self._unfinished[stream] + text).split("\n")
            while len(rest) > _MAX_LINE:
                lines.append(rest[:_MAX_LINE])
                rest = rest[_MAX_LINE:]
            self._unfinished[stream] = rest
        for line in lines:
            self._print(stream, line)

    def add(self, level: str, logger: str, message: str) -> None:
        """Add a log record."""
        self._sink(LogLine(datetime.now(UTC), level, logger, message))

    def close(self) -> None:
        """Add the unfinished last lines. Later output of the run's threads goes where it went before."""
        self.is_open = False
        for stream, rest in self._unfinished.items():
            if rest:
                self._print(stream, rest)

    def _print(self, stream: str, line: str) -> None:
        # A progress bar overwrites its line: only its last state is of interest.
        self.add(_STREAM_LEVELS[stream], stream, line.rstrip("\r").rpartition("\r")[2])


_current: ContextVar[OutputCapture | None] = ContextVar("callsheet_output_capture", default=None)


def capture_output(sink: Callable[[LogLine], None]) -> AbstractContextManager[None]:
    """Pass what the code of this block, its tasks and its threads print and log to `sink`.

    Log records also reach the handlers of the program. Threads that do not inherit context variables
    (`threading.Thread` before Python 3.14) are not captured.
    """
    return OutputCapture(sink)


def add_log_line(level: str, logger: str, message: str) -> None:
    """Add a line to the log of the job that the calling code belongs to, if any."""
    if (capture := _open_capture()) is not None:
        capture.add(level, logger, message)


def unrouted(stream: Any) -> Any:
    """Return the stream behind a routed one, or the stream itself."""
    return stream.original if isinstance(stream, _RoutedStream) else stream


def _open_capture() -> OutputCapture | None:
    capture = _current.get()
    return capture if capture is not None and capture.is_open else None


class _RoutedStream:
    """Replaces `sys.stdout` or `sys.stderr`, and passes the output of jobs to their captures."""

    def __init__(self, name: str, original: TextIO) -> None:
        self._name = name
        self.original = original

    def write(self, text: str) -> int:
        if (capture := _open_capture()) is not None:
            capture.write(self._name, text)
            return len(text)
        return self.original.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _open_capture() is None:
            self.original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _RecordHandler(logging.Handler):
    """Passes log records of jobs to their captures."""

    def emit(self, record: logging.LogRecord) -> None:
        if (capture := _open_capture()) is not None:
            capture.add(record.levelname.lower(), record.name, _record_text(record))


def _record_text(record: logging.LogRecord) -> str:
    if isinstance(record.msg, dict):  # a structlog event, which the handlers of `callsheet.logs` format
        event = {key: value for key, value in record.msg.items() if key not in _EVENT_DETAILS}
        details = " ".join(f"{key}={value}" for key, value in event.items())
        text = f"{record.msg.get('event', '')} {details}".rstrip()
        error = record.msg.get("exc_info")
    else:
        text, error = record.getMessage(), record.exc_info
    trace = _traceback(error)
    return f"{text}\n{trace}" if trace else text


_EVENT_DETAILS = frozenset(
    {"event", "level", "timestamp", "exc_info", "execution", "job", "job_id", "operation", "attempt", "trace_id"}
)


def _traceback(error: Any) -> str:
    if isinstance(error, tuple):
        error = error[1]
    if error is True:
        error = sys.exc_info()[1]
    return "".join(traceback.format_exception(error)).rstrip() if isinstance(error, BaseException) else ""


class _Installation:
    """Installs the streams and the log handler while at least one capture is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captures = 0
        self._handler = _RecordHandler(_LEVEL)

    def enter(self) -> None:
        with self._lock:
            self._captures += 1
            # Each time: another library may have replaced a stream meanwhile.
            for name in _STREAM_LEVELS:
                stream = getattr(sys, name)
                if not isinstance(stream, _RoutedStream):
                    setattr(sys, name, _RoutedStream(name, stream))
            root = logging.getLogger()
            if self._handler not in root.handlers:
                root.addHandler(self._handler)

    def leave(self) -> None:
        with self._lock:
            self._captures -= 1
            if self._captures:
                return
            for name in _STREAM_LEVELS:
                setattr(sys, name, unrouted(getattr(sys, name)))
            logging.getLogger().removeHandler(self._handler)


_installation = _Installation()
