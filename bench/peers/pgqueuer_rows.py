"""PgQueuer's tickets beside job rows: what a system has to do that keeps its jobs' history in tables of its own.

The rows and their tickets are written in one transaction. Starts and ends are gathered, as Callsheet gathers them,
and each is on the disk before the next step: a start before the handler's work, an end before the ticket goes.

    python -m bench.peers.pgqueuer_rows work | submit
"""

import asyncio
import os
import sys
from typing import Any

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, Job, Queries, QueueManager

from bench.peers.protocol import answer, batches, reply, timed, until_stop_signal

STORE = os.environ["BENCH_STORE"]
BATCH = int(os.environ.get("BENCH_BATCH", "500"))
IN_FLIGHT = 1000
JOBS_IN_A_CALL = 500

SCHEMA = """
CREATE TABLE jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL, params jsonb NOT NULL, result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, finished_at timestamptz
) WITH (fillfactor = 80);
CREATE TABLE job_events (
    job bigint NOT NULL, type text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (job, type)
);
"""
INSERT = """
WITH made AS (INSERT INTO jobs (status, params) SELECT 'queued', p::jsonb FROM unnest($1::text[]) AS p RETURNING id),
     noted AS (INSERT INTO job_events (job, type) SELECT id, 'queued' FROM made)
SELECT id FROM made
"""
START = """
WITH started AS (
    UPDATE jobs SET status = 'running', started_at = clock_timestamp()
    WHERE id = ANY ($1::bigint[]) AND status = 'queued' RETURNING id
), noted AS (INSERT INTO job_events (job, type) SELECT id, 'running' FROM started)
SELECT count(*) FROM started
"""
END = """
WITH ended AS (
    UPDATE jobs SET status = 'succeeded', result = params, finished_at = clock_timestamp()
    WHERE id = ANY ($1::bigint[]) AND status = 'running' RETURNING id
), noted AS (INSERT INTO job_events (job, type) SELECT id, 'succeeded' FROM ended)
SELECT count(*) FROM ended
"""


class Gatherer:
    """Runs one statement for all that came while the last one ran."""

    def __init__(self, pool: asyncpg.Pool, statement: str) -> None:
        self._pool = pool
        self._statement = statement
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def put(self, job: int) -> None:
        """Return when the job is written."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        self._arrived.set()
        await future

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._waiting = self._waiting, []
            written = await self._pool.fetchval(self._statement, [job for job, _ in batch])
            if written != len(batch):
                raise RuntimeError(f"{written} of {len(batch)} jobs were in the state they had to be in")
            for _, future in batch:
                future.set_result(None)


async def work() -> None:
    """Run a queue manager until SIGTERM or SIGINT."""
    async with asyncpg.create_pool(STORE, min_size=4, max_size=8) as pool:
        starts, ends = Gatherer(pool, START), Gatherer(pool, END)
        manager = QueueManager(Queries(AsyncpgPoolDriver(pool)))

        @manager.entrypoint("noop")
        async def noop(job: Job) -> None:
            number = int(job.payload or b"0")
            await starts.put(number)
            await ends.put(number)

        writers = [asyncio.create_task(gatherer.run()) for gatherer in (starts, ends)]
        running = asyncio.create_task(manager.run(batch_size=BATCH, max_concurrent_tasks=IN_FLIGHT))
        reply(ready=True)
        stopping = asyncio.create_task(until_stop_signal())
        await asyncio.wait({running, stopping, *writers}, return_when=asyncio.FIRST_COMPLETED)
        manager.shutdown.set()
        await running


async def send() -> None:
    """Answer the bench's requests."""
    looking = await asyncpg.connect(STORE)
    connection = await asyncpg.connect(STORE)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await connection.execute(SCHEMA)

    async def all_recorded() -> bool:
        # A ticket that is left would be worked on again after a crash.
        unfinished = "SELECT 1 FROM jobs WHERE status <> 'succeeded' ORDER BY id DESC LIMIT 1"
        ticket = "SELECT 1 FROM pgqueuer ORDER BY id DESC LIMIT 1"
        return await looking.fetchval(unfinished) is None and await looking.fetchval(ticket) is None

    async def bulk(jobs: int, **_: int) -> dict[str, Any]:
        async def enqueue() -> None:
            for numbers in batches(range(jobs), JOBS_IN_A_CALL):
                size = len(numbers)
                async with connection.transaction():
                    rows = await connection.fetch(INSERT, [f'{{"n": {n}}}' for n in numbers])
                    await queries.enqueue(["noop"] * size, [str(row["id"]).encode() for row in rows], [0] * size)

        return await timed(enqueue, all_recorded)

    await answer(bulk=bulk)
    await connection.close()
    await looking.close()


if __name__ == "__main__":
    uvloop.run(work() if sys.argv[1] == "work" else send())
