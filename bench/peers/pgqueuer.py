"""PgQueuer: a queue manager on a connection pool, and a client that enqueues many jobs a statement.

python -m bench.peers.pgqueuer work | submit
"""

import asyncio
import os
import sys
from typing import Any

import asyncpg
import uvloop
from pgqueuer import AsyncpgPoolDriver, Job, Queries, QueueManager

from bench.peers.protocol import Marks, answer, batches, paced, reply, timed, until_stop_signal, with_many

STORE = os.environ["BENCH_STORE"]
BATCH = int(os.environ.get("BENCH_BATCH", "500"))
IN_FLIGHT = 1000
JOBS_IN_A_CALL = 1000


async def work() -> None:
    """Run a queue manager until SIGTERM or SIGINT."""
    marks = Marks()
    async with asyncpg.create_pool(STORE, min_size=4, max_size=8) as pool:
        manager = QueueManager(Queries(AsyncpgPoolDriver(pool)))

        @manager.entrypoint("noop")
        async def noop(job: Job) -> None:
            pass

        @manager.entrypoint("mark")
        async def mark(job: Job) -> None:
            marks.set(int(job.payload or b"0"))

        running = asyncio.create_task(manager.run(batch_size=BATCH, max_concurrent_tasks=IN_FLIGHT))
        reply(ready=True)
        await until_stop_signal()
        manager.shutdown.set()
        await running


async def send() -> None:
    """Answer the bench's requests."""
    looking = await asyncpg.connect(STORE)
    async with asyncpg.create_pool(STORE, min_size=1, max_size=32) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()

        async def all_recorded() -> bool:
            # A finished job leaves this table for the log, in one statement.
            return await looking.fetchval("SELECT 1 FROM pgqueuer ORDER BY id DESC LIMIT 1") is None

        async def bulk(jobs: int, **_: int) -> dict[str, Any]:
            async def enqueue() -> None:
                for numbers in batches(range(jobs), JOBS_IN_A_CALL):
                    size = len(numbers)
                    await queries.enqueue(["noop"] * size, [str(n).encode() for n in numbers], [0] * size)

            return await timed(enqueue, all_recorded)

        async def singly(jobs: int, submitters: int) -> dict[str, Any]:
            async def enqueue(number: int) -> None:
                await queries.enqueue("noop", str(number).encode())

            return await timed(lambda: with_many(enqueue, range(jobs), submitters), all_recorded)

        async def pickups(numbers: list[int], pause: float) -> dict[str, Any]:
            async def enqueue(number: int) -> None:
                await queries.enqueue("mark", str(number).encode())

            return await paced(enqueue, numbers, pause)

        await answer(bulk=bulk, singly=singly, pickups=pickups)
    await looking.close()


if __name__ == "__main__":
    uvloop.run(work() if sys.argv[1] == "work" else send())
