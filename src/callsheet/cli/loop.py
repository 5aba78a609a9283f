"""The event loop of commands, and their signal handlers."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine with uvloop. Ctrl-C cancels it; KeyboardInterrupt is raised after its cleanup."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def cancelled_by_sigterm(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` and return its exit status. SIGTERM cancels it, with exit status 0, until it sets its own handler."""
    task = asyncio.ensure_future(main)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            task.cancel()
            raise
        return 0


def on_stop_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at every SIGTERM and SIGINT, instead of ending the process."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def on_drain_signals(drain: Callable[[], None], recycle: Callable[[], None]) -> None:
    """Call `drain` at every SIGUSR1, and `recycle` at every SIGUSR2, instead of ending the process."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, drain)
    loop.add_signal_handler(signal.SIGUSR2, recycle)


def cancel_on_terminate() -> None:
    """Cancel the current task at SIGTERM, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - only called inside a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
