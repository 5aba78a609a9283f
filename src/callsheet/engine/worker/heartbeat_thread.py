"""Thread for the heartbeat and the watchdog of a worker. Code that blocks the worker's event loop cannot delay it."""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import asyncpg
import structlog

from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.engine.worker.executor import Run
from callsheet.engine.worker.heartbeat import Heartbeat, HeartbeatResponse
from callsheet.engine.worker.loop_watchdog import LoopWatchdog

log = structlog.get_logger(__name__)

_MAX_AGE = 2.0
"""Seconds. An older response is ignored: the event loop was blocked meanwhile, and a new one follows."""
_JOIN_TIMEOUT = 5.0
_MIN_SILENCE = 10.0
"""Seconds. A process on a busy machine may not run for some time."""


class HeartbeatThread:
    """Sends the heartbeat of a worker, and watches its event loop.

    `runs` returns the current runs. `on_hang` is awaited in the thread, with a run that blocks the event loop beyond
    its time limit and `grace` seconds. `on_alive` is called at every heartbeat and every start, with the number of
    seconds after which the process is hung if no further call follows.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        *,
        interval: float,
        grace: float,
        runs: Callable[[], Iterable[Run]],
        on_hang: Callable[[Run], Awaitable[None]],
        on_alive: Callable[[float], None],
    ) -> None:
        self._heartbeat = heartbeat
        self._interval = interval
        self._grace = grace
        self._runs = runs
        self._on_hang = on_hang
        self._on_alive = on_alive
        self._responses: asyncio.Queue[HeartbeatResponse] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last_report = (-math.inf, 0.0)
        """When `on_alive` was last called, and the longest time limit that it allowed for."""

    async def next_response(self) -> HeartbeatResponse:
        """Return the next response, in the event loop of the worker."""
        while True:
            response = await self._responses.get()
            if time.monotonic() - response.at < _MAX_AGE:
                return response

    def send_now(self) -> None:
        """Send the next heartbeat at once."""
        self._call(self._now.set)

    def report_run(self, time_limit: float) -> None:
        """Call `on_alive` before a run with this time limit starts, unless the last call allows for it.

        A run may keep all threads of the process from running for its time limit, so that no report can follow.
        """
        at, longest = self._last_report
        # The allowed silence has two intervals to spare, so a report of the last interval is recent enough.
        if time_limit > longest or time.monotonic() - at > self._interval:
            self._report_alive(time_limit)

    def _report_alive(self, time_limit: float = 0.0) -> None:
        longest = max([time_limit, *(run.job.timeout_seconds for run in self._runs())])
        self._last_report = time.monotonic(), longest
        self._on_alive(max(_MIN_SILENCE, longest + self._grace + 2 * self._interval))

    async def run(self) -> None:
        """Run the thread until cancelled. Raises its error. Call it in the event loop to watch."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watched, thread_id = asyncio.get_running_loop(), threading.get_ident()

        def main() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(self._main(watched, thread_id))
            except BaseException as raised:  # noqa: BLE001 - raised by `run`
                error = raised
            with suppress(RuntimeError):  # the watched loop is closed
                watched.call_soon_threadsafe(_end, ended, error)

        thread = threading.Thread(target=main, name="heartbeat", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            if not ended.done():
                self._call(self._cancel)
                await asyncio.wait({ended}, timeout=_JOIN_TIMEOUT)
            thread.join(_JOIN_TIMEOUT)

    async def _main(self, watched: asyncio.AbstractEventLoop, thread_id: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        watchdog = LoopWatchdog(watched, thread_id, runs=self._runs, grace=self._grace, on_hang=self._on_hang)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_heartbeats(watched))
                tasks.create_task(watchdog.run())
        finally:
            self._heartbeat.close()

    async def _send_heartbeats(self, watched: asyncio.AbstractEventLoop) -> None:
        while True:
            self._report_alive()
            try:
                response = await self._heartbeat.send()
                watched.call_soon_threadsafe(self._responses.put_nowait, response)
            except TRANSIENT_ERRORS as error:
                self._heartbeat.outage.failed("heartbeat", error)
            except asyncpg.PostgresError as error:
                log.error("heartbeat failed", exc_info=error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self._interval)
            self._now.clear()

    def _cancel(self) -> None:
        assert self._task is not None  # noqa: S101 - set before the loop is known
        self._task.cancel()

    def _call(self, function: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(function)


def _end(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None or isinstance(error, asyncio.CancelledError):
        ended.set_result(None)
    else:
        ended.set_exception(error)
