"""Run a call that may hang, such as one into a driver, in a thread that keeps no process from ending."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T], *, timeout: float) -> T:
    """Return what `work` returns, or raise its error. Raises TimeoutError after `timeout` seconds.

    The thread is not stopped then. Unlike one of `asyncio.to_thread`, the end of the process does not wait for it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type] # None only if T is
        else:
            done.set_exception(error)

    def main() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001 - raised in the caller
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=main, name="measurement", daemon=True).start()
    async with asyncio.timeout(timeout):
        return await done
