"""The child side of the bench protocol: requests on stdin, responses on stdout, one JSON object per line.

Standard library only: some peers run in a virtual environment without Callsheet.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

POLL_INTERVAL = 0.01
"""Seconds between two polls for the last recorded job; the same for every system."""

Handler = Callable[..., Awaitable[dict[str, Any]]]


def reply(**response: Any) -> None:
    """Write one response."""
    os.write(1, json.dumps(response).encode() + b"\n")


async def answer(**handlers: Handler) -> None:
    """Serve requests `{"do": name, …}` with the handler of that name, until stdin ends."""
    reply(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        reply(**await handlers[request.pop("do")](**request))


async def until_stop_signal() -> None:
    """Return on SIGTERM or SIGINT."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def timed(submit: Callable[[], Awaitable[Any]], all_recorded: Callable[[], Awaitable[bool]]) -> dict[str, Any]:
    """Submit, then poll until every job is recorded. Times are from the monotonic clock of the machine."""
    began = time.monotonic()
    await submit()
    submitted = time.monotonic()
    while not await all_recorded():  # noqa: ASYNC110 - a store is polled
        await asyncio.sleep(POLL_INTERVAL)
    return {"began": began, "submitted": submitted, "ended": time.monotonic()}


async def paced(submit: Callable[[int], Awaitable[Any]], numbers: Sequence[int], pause: float) -> dict[str, Any]:
    """Submit one job per number with pauses between; return when each call began."""
    began = {}
    for number in numbers:
        began[number] = time.monotonic()
        await submit(number)
        await asyncio.sleep(pause)
    return {"began": began}


async def with_many(submit: Callable[[int], Awaitable[Any]], numbers: range, submitters: int) -> None:
    """Submit every number, one call each, by so many submitters at once."""
    shared = iter(numbers)

    async def one() -> None:
        for number in shared:
            await submit(number)

    await asyncio.gather(*(one() for _ in range(submitters)))


def batches(numbers: range, size: int) -> Iterator[range]:
    """Cut a range into ranges of at most `size`."""
    return (numbers[at : at + size] for at in range(0, len(numbers), size))


class Marks:
    """Notes of when handlers started, in a file that all worker processes append to."""

    def __init__(self) -> None:
        self._file = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def set(self, number: int) -> None:
        """Note that the handler of this job has started; call it first."""
        os.write(self._file, f"{number} {time.monotonic()!r}\n".encode())
