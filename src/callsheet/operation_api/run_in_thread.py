"""Run an operation that is a plain function in a thread of its own."""

import asyncio
import contextvars
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import structlog

from callsheet.operation_api.blocking_context import BlockingContext, JobStopped, RunFacts

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

log = structlog.get_logger(__name__)

_STOP_TIMEOUT = 5.0
"""Seconds that a stopped run waits for its thread. Then its outcome is recorded, and the thread continues."""

_leftover: dict[UUID, "asyncio.Future[Any]"] = {}
"""Threads that outlive their run, by the id of the job."""


def in_thread(function: Callable[[BlockingContext, Any], T]) -> Callable[[Any, Any], Coroutine[Any, Any, T]]:
    """Return an async operation that runs the function in a new thread.

    The thread inherits the context variables. A thread cannot be killed: when the run is cancelled, the methods of the
    job context raise JobStopped in it.
    """

    @functools.wraps(function)
    async def run(job: Any, params: Any) -> T:
        bridge = ThreadBridge(job, asyncio.get_running_loop())
        context = BlockingContext(run_facts(job), bridge)
        return await call_in_thread(lambda: function(context, params), bridge)

    return run


async def wait_for_leftover_thread(job: UUID, *, unless: asyncio.Event) -> None:
    """Wait for the thread of a stopped run, so that the slot of its lane stays taken while it works."""
    thread = _leftover.get(job)
    if thread is None:
        return
    given_up = asyncio.ensure_future(unless.wait())
    await asyncio.wait({thread, given_up}, return_when=asyncio.FIRST_COMPLETED)
    given_up.cancel()


def run_facts(job: Any) -> RunFacts:
    """Return the facts of a run, from its context."""
    return RunFacts(job.id, job.execution_id, job.job_id, job.operation, job.attempt, job.dir, job.settings)


class ThreadBridge:
    """Connects a thread with the context of its run."""

    def __init__(self, job: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self._loop = loop
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make all further calls raise JobStopped."""
        self._stopped.set()

    def check_stopped(self) -> None:
        """Raise JobStopped if the run must stop."""
        if self._stopped.is_set():
            raise JobStopped

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call an async method of the context and return its result."""
        return self.run_async(lambda job: getattr(job, method)(*args, **options))

    def send(self, method: str, *args: Any, **options: Any) -> None:
        """Call a method of the context in the event loop, without waiting for it."""
        self._loop.call_soon_threadsafe(functools.partial(getattr(self.job, method), *args, **options))

    def once(self, step: str, action: Callable[[], T], kind: "type[T] | TypeAdapter[T]") -> T:
        """Run a side effect at most once in the life of the job, in a thread."""
        return cast(T, self.run_async(lambda job: job.once(step, lambda: asyncio.to_thread(action), kind)))

    def run_async(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run a coroutine function with the context in the event loop. It is cancelled when the run is stopped."""

        async def main() -> T:
            return await work(self.job)

        future = asyncio.run_coroutine_threadsafe(main(), self._loop)
        while True:
            try:
                return future.result(timeout=0.1)
            except TimeoutError:
                if future.done():
                    return future.result()
                if self._stopped.is_set():
                    future.cancel()
                    raise JobStopped from None


async def call_in_thread(
    function: Callable[[], T], bridge: ThreadBridge, *, on_stop: Callable[[], None] | None = None
) -> T:
    """Return the result of a function that runs in a new thread. On cancellation stop the bridge, call `on_stop`, and
    wait some seconds for the thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    values = contextvars.copy_context()

    def main() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = values.run(function)
        except BaseException as raised:  # noqa: BLE001 - raised in the event loop
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(_end, done, result, error)

    threading.Thread(target=main, name=f"operation {bridge.job.operation}", daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        bridge.stop()
        if on_stop is not None:
            on_stop()
        if not done.done():
            await asyncio.wait({done}, timeout=_STOP_TIMEOUT)
        if not done.done():
            _keep_leftover(bridge.job, done)
        raise


def _keep_leftover(job: Any, done: "asyncio.Future[Any]") -> None:
    log.warning(
        "the thread of a stopped job continues; its slot stays taken until it ends",
        execution=str(job.execution_id),
        job=str(job.id),
        job_id=job.job_id,
        operation=job.operation,
    )
    _leftover[job.id] = done
    done.add_done_callback(lambda _: _leftover.pop(job.id, None))


def _end(done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if error is None:
        done.set_result(result)
        return
    if not isinstance(error, Exception | SystemExit):
        # Such an exception would end the event loop.
        wrapped = RuntimeError(f"the operation raised {type(error).__name__}")
        wrapped.__cause__ = error
        error = wrapped
    done.set_exception(error)
    done.exception()  # marks it as read: the run may have been cancelled
