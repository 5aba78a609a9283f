"""Procrastinate: an asynchronous worker that keeps finished jobs, and a client that defers many jobs a statement.

python -m bench.peers.procrastinate work | submit
"""

import asyncio
import logging
import os
import sys
from typing import Any

import psycopg
import uvloop
from procrastinate import App, PsycopgConnector

from bench.peers.protocol import Marks, answer, batches, paced, reply, timed, until_stop_signal, with_many

STORE = os.environ["BENCH_STORE"]
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "60"))
JOBS_IN_A_CALL = 1000

app = App(connector=PsycopgConnector(conninfo=STORE, min_size=4, max_size=32))


@app.task(queue="bench", name="noop")
async def noop(n: int) -> int:
    """Do nothing."""
    return n


@app.task(queue="bench", name="mark")
async def mark(n: int) -> int:
    """Note when it starts."""
    marks.set(n)
    return n


async def work() -> None:
    """Run a worker until SIGTERM or SIGINT."""
    async with app.open_async():
        running = asyncio.create_task(
            app.run_worker_async(queues=["bench"], concurrency=CONCURRENCY, install_signal_handlers=False)
        )
        reply(ready=True)
        await until_stop_signal()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def send() -> None:
    """Answer the bench's requests."""
    async with app.open_async(), await psycopg.AsyncConnection.connect(STORE, autocommit=True) as looking:
        await app.schema_manager.apply_schema_async()

        async def all_recorded() -> bool:
            rows = await looking.execute(
                "SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing') ORDER BY id DESC LIMIT 1"
            )
            return await rows.fetchone() is None

        async def bulk(jobs: int, **_: int) -> dict[str, Any]:
            async def defer() -> None:
                for numbers in batches(range(jobs), JOBS_IN_A_CALL):
                    await noop.batch_defer_async(*({"n": n} for n in numbers))

            return await timed(defer, all_recorded)

        async def singly(jobs: int, submitters: int) -> dict[str, Any]:
            async def defer(number: int) -> None:
                await noop.defer_async(n=number)

            return await timed(lambda: with_many(defer, range(jobs), submitters), all_recorded)

        async def pickups(numbers: list[int], pause: float) -> dict[str, Any]:
            async def defer(number: int) -> None:
                await mark.defer_async(n=number)

            return await paced(defer, numbers, pause)

        await answer(bulk=bulk, singly=singly, pickups=pickups)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    marks = Marks()
    uvloop.run(work() if sys.argv[1] == "work" else send())
