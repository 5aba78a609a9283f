"""Running a coroutine as the body of a command, on the fast event loop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. Ctrl-C cancels it, and raises KeyboardInterrupt when it has wound up."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def on_stop_signals(stop: Callable[[], None]) -> None:
    """Have SIGTERM and SIGINT call `stop`, each time they come, in place of ending the process."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def cancel_on_terminate() -> None:
    """Have SIGTERM do what Ctrl-C does: cancel the running task."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - called from inside one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
