"""Celery on Redis with stored results: the client, and the tasks for `celery -A bench.peers.celery worker`.

python -m bench.peers.celery submit
"""

import asyncio
import os
from collections import deque
from typing import Any

import redis
from celery import Celery, group
from celery.signals import worker_ready

from bench.peers.protocol import Marks, answer, batches, paced, reply, timed

STORE = os.environ["BENCH_STORE"]
RESULTS = os.environ.get("BENCH_RESULTS", f"{STORE}/1")
JOBS_IN_A_CALL = 500
RESULTS_AT_ONCE = 200

app = Celery("bench", broker=f"{STORE}/0", backend=RESULTS)
app.conf.update(worker_redirect_stdouts=False, worker_prefetch_multiplier=32, task_default_queue="bench")
marks = Marks()


@app.task(name="noop")
def noop(n: int) -> int:
    """Do nothing."""
    return n


@app.task(name="mark")
def mark(n: int) -> int:
    """Note when it starts."""
    marks.set(n)
    return n


@app.task(name="held")
def held(n: int) -> int:
    """Is only sent to Callsheet, where no worker runs it."""
    return n


@worker_ready.connect
def _ready(**_: Any) -> None:
    reply(ready=True)


async def send() -> None:
    """Answer the bench's requests. Celery's client blocks, and nothing else runs here."""
    results = redis.Redis.from_url(RESULTS)

    async def bulk(jobs: int, **_: int) -> dict[str, Any]:
        wanted = results.dbsize() + jobs

        async def apply() -> None:
            for numbers in batches(range(jobs), JOBS_IN_A_CALL):
                group(noop.s(n=n) for n in numbers).apply_async()

        async def all_recorded() -> bool:
            # A key for each result. Asking for the number of keys costs less than fetching each result does.
            return results.dbsize() >= wanted

        return await timed(apply, all_recorded)

    async def results_of(jobs: int) -> dict[str, Any]:
        """As `bulk`, for a worker that also stores other keys: looks at the results themselves."""
        waiting: deque[bytes] = deque()

        async def apply() -> None:
            for numbers in batches(range(jobs), JOBS_IN_A_CALL):
                found = group(noop.s(n=n) for n in numbers).apply_async()
                waiting.extend(app.backend.get_key_for_task(task.id) for task in found.results)

        async def all_recorded() -> bool:
            while waiting:
                some = [waiting.popleft() for _ in range(min(RESULTS_AT_ONCE, len(waiting)))]
                states = results.mget(some)
                left = [
                    key
                    for key, state in zip(some, states, strict=True)
                    if state is None or b'"status": "SUCCESS"' not in state
                ]
                waiting.extendleft(reversed(left))
                if left:
                    return False
            return True

        return await timed(apply, all_recorded)

    async def open_tasks(jobs: int) -> dict[str, Any]:
        for numbers in batches(range(jobs), JOBS_IN_A_CALL):
            group(held.s(n=n) for n in numbers).apply_async()
        return {"jobs": jobs}

    async def pickups(numbers: list[int], pause: float) -> dict[str, Any]:
        async def apply(number: int) -> None:
            mark.apply_async((number,))

        return await paced(apply, numbers, pause)

    await answer(bulk=bulk, results=results_of, open=open_tasks, pickups=pickups)


if __name__ == "__main__":
    asyncio.run(send())
