"""Watchdog of an event loop: reports code that blocks it, and runs that block it beyond their time limit.

It must run in another thread, with an event loop of its own.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable

import structlog

from callsheet.engine.worker import executor
from callsheet.engine.worker.executor import Run
from callsheet.logs import redact_secrets

log = structlog.get_logger(__name__)

_TICK = 0.25
"""Seconds between two checks."""
_THRESHOLD = 1.0
"""Seconds without a response of the event loop that count as blocked."""
_MAX_FRAMES = 30


class LoopWatchdog:
    """Watches one event loop, which runs in the thread with this id.

    `runs` returns the current runs of jobs. A run that blocks the loop for longer than its time limit and `grace`
    seconds is passed to `on_hang`, once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread_id: int,
        *,
        runs: Callable[[], Iterable[Run]],
        grace: float,
        on_hang: Callable[[Run], Awaitable[None]],
    ) -> None:
        self._loop = loop
        self._thread_id = thread_id
        self._runs = runs
        self._grace = grace
        self._on_hang = on_hang
        self._asked = time.monotonic()
        self._responded = True
        self._reported = False
        self._hung: set[int] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK)
            self._discount_own_pause(time.monotonic() - before - _TICK)
            if self._responded:
                self._ask_again()
            elif (seconds := time.monotonic() - self._asked) > _THRESHOLD:
                await self._check_blocked(seconds)

    def _discount_own_pause(self, seconds: float) -> None:
        """Do not blame the event loop for a time in which this thread did not run either."""
        if seconds > _THRESHOLD:
            self._asked += seconds
            log.warning(
                "the whole process stood still: it was stopped, or an operation held the interpreter lock",
                seconds=round(seconds, 1),
                operations=self._operations(),
            )

    def _ask_again(self) -> None:
        if self._reported:
            log.warning("the event loop runs again", seconds=round(time.monotonic() - self._asked, 1))
        self._asked, self._responded, self._reported = time.monotonic(), False, False
        self._loop.call_soon_threadsafe(self._respond)

    def _respond(self) -> None:
        self._responded = True

    async def _check_blocked(self, seconds: float) -> None:
        blocking = self._blocking_run()
        if not self._reported:
            self._reported = True
            facts = blocking.job.log_facts if blocking else {"operations": self._operations()}
            log.warning(
                "an operation blocks the event loop of the worker; declare it with `def`, or use asyncio.to_thread",
                seconds=round(seconds, 1),
                stack=self._stack(),
                **facts,
            )
        for run in self._overdue(blocking, seconds):
            self._hung.add(id(run))
            await self._on_hang(run)

    def _overdue(self, blocking: Run | None, seconds: float) -> list[Run]:
        """Return the runs that may have blocked the loop for these seconds; empty while one of them may go on."""
        suspects = [blocking] if blocking else list(self._runs())
        if any(run.job.timeout_seconds + self._grace > seconds for run in suspects):
            return []
        return [run for run in suspects if id(run) not in self._hung]

    def _blocking_run(self) -> Run | None:
        task = asyncio.current_task(self._loop)
        return next((run for run in self._runs() if run.task is task), None)

    def _operations(self) -> list[str]:
        return sorted({run.job.operation for run in self._runs()})

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        if frame is None:
            return ""
        frames = traceback.extract_stack(frame)
        # The frames of the worker itself are always the same.
        own = [place for place, each in enumerate(frames) if each.filename == executor.__file__]
        frames = traceback.StackSummary.from_list(frames[own[-1] + 1 if own else 0 :][-_MAX_FRAMES:])
        return redact_secrets("".join(frames.format()))
