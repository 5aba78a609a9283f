"""Run an operation that is a plain function in a process of its own, which is killed when the run is stopped."""

import asyncio
import functools
import importlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from callsheet.domain.errors import JobError
from callsheet.operation_api.blocking_context import BlockingContext, JobStopped, RunFacts
from callsheet.operation_api.run_in_thread import ThreadBridge, call_in_thread, run_facts
from callsheet.processes.output_capture import LogLine, add_log_line, capture_output

T = TypeVar("T")

_spawn = multiprocessing.get_context("spawn")


class RemoteTraceback(Exception):
    """The traceback of an exception in the process of an operation, as the cause of its copy in the worker."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def in_process(function: Callable[[BlockingContext, Any], T]) -> Callable[[Any, Any], Coroutine[Any, Any, T]]:
    """Return an async operation that runs the function in a new process.

    The function must be at the top level of a module, since the process imports it. Params, result and exceptions are
    pickled. Raises TypeError for a function inside another one.
    """
    if "." in function.__qualname__:
        raise TypeError(f"{function.__qualname__} must be at the top level of a module to run in a process")

    @functools.wraps(function)
    async def run(job: Any, params: Any) -> T:
        bridge = ThreadBridge(job, asyncio.get_running_loop())
        process = _OperationProcess(function, run_facts(job), params)
        return await call_in_thread(lambda: process.run(bridge), bridge, on_stop=process.kill)

    return run


class _OperationProcess:
    """The worker's side: starts the process, serves its calls, and returns its result."""

    def __init__(self, function: Callable[..., Any], facts: RunFacts, params: Any) -> None:
        self._ours, theirs = _spawn.Pipe()
        self._theirs = theirs
        # Not a daemon: those cannot start processes of their own, which data loaders do.
        self._process = _spawn.Process(
            target=_main,
            args=(theirs, function.__module__, function.__name__, facts, params),
            name=f"operation {facts.operation}",
            daemon=False,
        )

    def run(self, bridge: ThreadBridge) -> Any:
        try:
            bridge.check_stopped()
            self._process.start()
            self._theirs.close()
            return self._serve(bridge)
        finally:
            self.kill()
            if self._process.pid is not None:
                self._process.join()
            self._ours.close()

    def kill(self) -> None:
        """Kill the process and those that it has started."""
        pid = self._process.pid
        if pid is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._process.exitcode is None:
            # It may not have its own process group yet.
            self._process.kill()

    def _serve(self, bridge: ThreadBridge) -> Any:
        while True:
            try:
                kind, *parts = self._ours.recv()
            except (EOFError, ConnectionResetError):
                bridge.check_stopped()
                self._process.join()
                raise JobError(f"The process of the operation died ({self._exit_text()}).") from None
            if kind == "result":
                return parts[0]
            if kind == "raised":
                error, text = parts
                raise error from RemoteTraceback(text)
            if kind == "log":
                add_log_line(*parts)
                continue
            method, args, options = parts
            if kind == "send":
                bridge.send(method, *args, **options)
            else:
                self._ours.send(_outcome_of(functools.partial(bridge.call, method, *args, **options)))

    def _exit_text(self) -> str:
        code = self._process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _outcome_of(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - raised in the process of the operation
        return None, _picklable(error)


def _picklable(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
            return error
    return RuntimeError(f"{type(error).__name__}: {error}")


class _PipeBridge:
    """The process's side."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # The threads of an operation may call at the same time.
        self._lock = threading.Lock()

    def check_stopped(self) -> None:
        """Do nothing: the process of a stopped run is killed."""

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        with self._lock:
            self._connection.send(("call", method, args, options))
            result, error = self._connection.recv()
        if error is not None:
            raise error
        return result

    def send(self, method: str, *args: Any, **options: Any) -> None:
        with self._lock:
            self._connection.send(("send", method, args, options))

    def add_log_line(self, line: LogLine) -> None:
        with self._lock:
            self._connection.send(("log", line.level, line.logger, line.message))

    def run_async(self, work: Any) -> Any:  # noqa: ARG002 - a method of ContextBridge
        raise TypeError("`once` and `run_async` need an operation that runs in a thread (run_in='thread')")


def _main(connection: Connection, module: str, name: str, facts: RunFacts, params: Any) -> None:
    """Run the operation, in its process."""
    os.setsid()
    threading.Thread(target=_die_with_worker, daemon=True).start()
    try:
        bridge = _PipeBridge(connection)
        logging.getLogger().setLevel(logging.INFO)
        with capture_output(bridge.add_log_line):
            function = getattr(importlib.import_module(module), name).run.__wrapped__
            result = function(BlockingContext(facts, bridge), params)
        connection.send(("result", result))
    except (Exception, JobStopped, SystemExit) as error:  # noqa: BLE001 - raised in the worker
        connection.send(("raised", _picklable(error), traceback.format_exc()))


def _die_with_worker() -> None:
    worker = multiprocessing.parent_process()
    assert worker is not None  # noqa: S101 - started by multiprocessing
    wait([worker.sentinel])
    os.killpg(os.getpid(), signal.SIGKILL)
