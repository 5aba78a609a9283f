"""Celery on Redis with stored results: the client, and the tasks for `celery -A bench.peers.celery worker`.

python -m bench.peers.celery submit
"""

import asyncio
import os
from typing import Any

import redis
from celery import Celery, group
from celery.signals import worker_ready

from bench.peers.protocol import Marks, answer, batches, paced, reply, timed

STORE = os.environ["BENCH_STORE"]
JOBS_IN_A_CALL = 500

app = Celery("bench", broker=f"{STORE}/0", backend=f"{STORE}/1")
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


@worker_ready.connect
def _ready(**_: Any) -> None:
    reply(ready=True)


async def send() -> None:
    """Answer the bench's requests. Celery's client blocks, and nothing else runs here."""
    results = redis.Redis.from_url(f"{STORE}/1")

    async def bulk(jobs: int, **_: int) -> dict[str, Any]:
        wanted = results.dbsize() + jobs

        async def apply() -> None:
            for numbers in batches(range(jobs), JOBS_IN_A_CALL):
                group(noop.s(n) for n in numbers).apply_async()

        async def all_recorded() -> bool:
            # A key for each result. Asking for the number of keys costs less than fetching each result does.
            return results.dbsize() >= wanted

        return await timed(apply, all_recorded)

    async def pickups(numbers: list[int], pause: float) -> dict[str, Any]:
        async def apply(number: int) -> None:
            mark.apply_async((number,))

        return await paced(apply, numbers, pause)

    await answer(bulk=bulk, pickups=pickups)


if __name__ == "__main__":
    asyncio.run(send())
