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

from pydantic import TypeAdapter

from callsheet.domain.errors import JobError
from callsheet.operation_api.blocking_context import BlockingContext, JobStopped, RunFacts
from callsheet.operation_api.run_in_thread import ThreadBridge, call_in_thread, run_facts
from callsheet.processes.output_capture import LogLine, add_log_line, capture_output

T = TypeVar("T")

_RUN_ACTION = ("run action",)
"""The reply to `once` if the step was not started before."""

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
        # Held by the thread that serves the process during the action of a once step.
        self._serving_action = threading.Lock()
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
            with self._serving_action:
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
        try:
            kind, *parts = self._serve_calls(bridge)
        except (EOFError, ConnectionError):
            bridge.check_stopped()
            self._process.join()
            raise JobError(f"The process of the operation died ({self._exit_text()}).") from None
        if kind == "raised":
            error, text = parts
            raise error from RemoteTraceback(text)
        return parts[0]

    def _serve_calls(self, bridge: ThreadBridge) -> tuple[Any, ...]:
        """Serve the calls of the process. Return its first other message, with its kind."""
        while True:
            message: tuple[Any, ...] = self._ours.recv()
            kind, *parts = message
            match kind:
                case "log":
                    add_log_line(*parts)
                case "send":
                    method, args, options = parts
                    bridge.send(method, *args, **options)
                case "call":
                    method, args, options = parts
                    self._ours.send(_outcome_of(functools.partial(bridge.call, method, *args, **options)))
                case "once":
                    self._ours.send(_outcome_of(functools.partial(self._once, bridge, *parts)))
                case _:
                    return message

    def _once(self, bridge: ThreadBridge, step: str) -> Any:
        """Return the value of a once step, as JSON. The process runs the action."""
        return bridge.run_async(
            lambda job: job.once(step, lambda: asyncio.to_thread(self._run_action, bridge), TypeAdapter(Any))
        )

    def _run_action(self, bridge: ThreadBridge) -> Any:
        """Let the process run the action of a once step. Meanwhile this thread serves its calls."""
        with self._serving_action:
            try:
                self._ours.send(_RUN_ACTION)
                _, value, error = self._serve_calls(bridge)
            except (EOFError, OSError):
                raise JobError("The process of the operation was killed during a step.") from None
        if error is not None:
            raise error
        return value

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
        result, error = self._exchange("call", method, args, options)
        if error is not None:
            raise error
        return result

    def once(self, step: str, action: Callable[[], T], kind: type[T] | TypeAdapter[T]) -> T:
        reader: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        reply = self._exchange("once", step)
        if reply != _RUN_ACTION:
            stored, error = reply
            if error is not None:
                raise error
            return reader.validate_python(stored)
        # Not under the lock: the action, and other threads, may use the context.
        try:
            value = action()
            as_json = reader.dump_python(value, mode="json")
        except BaseException as raised:
            _, error = self._exchange("acted", None, _picklable(raised))
            raise (error or raised) from raised
        _, error = self._exchange("acted", as_json, None)
        if error is not None:
            raise error
        return value

    def _exchange(self, *message: Any) -> Any:
        """Send a message and return the reply to it."""
        with self._lock:
            self._connection.send(message)
            return self._connection.recv()

    def send(self, method: str, *args: Any, **options: Any) -> None:
        with self._lock:
            self._connection.send(("send", method, args, options))

    def add_log_line(self, line: LogLine) -> None:
        with self._lock:
            self._connection.send(("log", line.level, line.logger, line.message))

    def run_async(self, work: Any) -> Any:  # noqa: ARG002 - a method of ContextBridge
        raise TypeError("`run_async` needs an operation that runs in a thread (run_in='thread')")


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
