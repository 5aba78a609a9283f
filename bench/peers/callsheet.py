"""Callsheet: one process of `callsheet worker`'s making, and a client that submits by the library's own calls.

python -m bench.peers.callsheet work | submit
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog
import uvloop
from pydantic import SecretStr

from bench.peers.protocol import Marks, answer, batches, paced, reply, timed, until_stop_signal, with_many
from callsheet.db.database import Connection, Database
from callsheet.db.upgrade import upgrade
from callsheet.domain.model import Model
from callsheet.domain.plan import Submission
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.submit import submit, submit_many
from callsheet.engine.reads.event_stream import EventStream
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Context, operation
from callsheet.processes.garbage_collection import collect_garbage_less_often
from callsheet.settings import Settings
from callsheet.wiring import open_runtime

T = TypeVar("T")

QUEUE = "bench"
LANE = int(os.environ.get("BENCH_LANE", "1000"))
JOBS_PER_CALL = 500
MOST_JOBS = 10_000


class Numbered(Model):
    """A job's number, as params and as result."""

    n: int = 0


@operation("noop", queue=QUEUE)
async def noop(_job: Context, params: Numbered) -> Numbered:
    """Do nothing."""
    return params


@operation("mark", queue=QUEUE)
async def mark(_job: Context, params: Numbered) -> Numbered:
    """Note when it starts."""
    marks.set(params.n)
    return params


@operation("held", queue="bench-held")
async def held(_job: Context, params: Numbered) -> Numbered:
    """Never run: no worker has its queue."""
    return params


CATALOG = Catalog([noop, mark, held])
STORE = os.environ.get("BENCH_STORE", "")


def settings(folder: str) -> Settings:
    """Settings as they come, with data in `folder`."""
    return Settings(_env_file=None, database_url=SecretStr(STORE), data_dir=Path(folder))  # type: ignore[call-arg]


async def work() -> None:
    """Run a worker until SIGTERM or SIGINT."""
    with TemporaryDirectory(prefix="callsheet-bench-") as folder:
        async with open_runtime(settings(folder), CATALOG, follow_events=False) as runtime:
            worker = runtime.worker({QUEUE: LANE})
            collect_garbage_less_often()
            working = asyncio.create_task(worker.run())
            stopping = asyncio.create_task(until_stop_signal())
            await _registered(runtime.database, worker.id)
            reply(ready=True)
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            worker.stop()
            await working


async def _registered(database: Database, worker: UUID) -> None:
    async with database.connection() as connection:
        asked = "SELECT EXISTS (SELECT FROM workers WHERE id = $1)"
        while not await connection.fetchval(asked, worker):  # noqa: ASYNC110 - another process is looked at
            await asyncio.sleep(0.01)


class CountingDatabase(Database):
    """A database that counts its queries."""

    queries = 0

    async def retry(self, work: Callable[[Connection], Awaitable[T]], **options: Any) -> T:
        """Count, and run `work`."""
        self.queries += 1
        return await super().retry(work, **options)


class Client:
    """Submits, and looks whether all is recorded."""

    def __init__(self, database: Database, looking: asyncpg.Connection) -> None:
        self._database = database
        self._looking = looking
        self._first: UUID | None = None

    async def bulk(self, jobs: int, per_plan: int) -> dict[str, Any]:
        """Submit jobs, many plans per call."""

        async def send() -> None:
            self._first = None
            for numbers in batches(range(jobs // per_plan), max(1, JOBS_PER_CALL // per_plan)):
                plans = [plan("noop", range(number * per_plan, (number + 1) * per_plan)) for number in numbers]
                ids = await submit_many(self._database, plans, CATALOG, max_jobs=MOST_JOBS)
                self._first = self._first or ids[0]

        return await timed(send, self._all_recorded)

    async def singly(self, jobs: int, submitters: int) -> dict[str, Any]:
        """Submit so many jobs, one a call."""

        async def send() -> None:
            self._first = None
            await with_many(self._submit_one, range(jobs), submitters)

        return await timed(send, self._all_recorded)

    async def pickups(self, numbers: list[int], pause: float) -> dict[str, Any]:
        """Submit jobs that note when they start."""

        async def send(number: int) -> None:
            await submit(self._database, plan("mark", range(number, number + 1)), CATALOG, max_jobs=MOST_JOBS)

        return await paced(send, numbers, pause)

    async def text(self, text: str) -> dict[str, Any]:
        """Submit a plan from its JSON text, as the API does; return the seconds of each step."""
        times = [time.monotonic()]
        data = read_plan_text(text, max_bytes=16 * 2**20)
        times.append(time.monotonic())
        submission = read_submission(data)
        times.append(time.monotonic())
        stored = await submit(self._database, submission, CATALOG, max_jobs=MOST_JOBS)
        times.append(time.monotonic())
        rows = await self._looking.fetchval(
            "SELECT count(*) FROM execution_jobs WHERE execution_id = $1", stored.execution_id
        )
        return {"read": times[1] - times[0], "parsed": times[2] - times[1], "stored": times[3] - times[2], "rows": rows}

    async def recorded(self, numbers: list[int], pause: float) -> dict[str, Any]:
        """Submit jobs one by one; return, for each, the milliseconds until a watcher and the database see its end."""
        notified = asyncio.Event()
        await self._looking.add_listener("callsheet_events", lambda *_: notified.set())
        seen, run = [], []
        for number in numbers:
            began = time.monotonic()
            stored = await submit(self._database, plan("noop", range(number, number + 1)), CATALOG, max_jobs=MOST_JOBS)
            row = None
            while row is None:
                await asyncio.wait_for(notified.wait(), 30)
                notified.clear()
                row = await self._looking.fetchrow(
                    """SELECT extract(epoch FROM j.finished_at - j.started_at)::float8 AS run
                       FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
                       WHERE e.id = $1 AND e.status = 'succeeded'""",
                    stored.execution_id,
                )
            seen.append(time.monotonic() - began)
            run.append(row["run"])
            await asyncio.sleep(pause)
        return {"seen": seen, "run": run}

    async def followed(self, jobs: int, waiting: int, active: bool) -> dict[str, Any]:
        """Submit so many jobs while one follower follows `waiting` executions that do not run.

        With `active`, it also follows the submitted ones until their end. Returns the moments, and the number of
        queries and events of the follower.
        """
        held = [plan("held", range(1)) for _ in range(waiting)]
        idle = await submit_many(self._database, held, CATALOG, max_jobs=MOST_JOBS) if held else []
        events = 0
        async with CountingDatabase(STORE, size=2) as database:
            stream = EventStream(database)
            listening = asyncio.create_task(stream.run())
            with stream.follower(waits_for_more=True) as follower:
                for execution_id in idle:
                    follower.add(execution_id)

                async def follow() -> None:
                    nonlocal events
                    async for _ in follower:
                        events += 1

                following = asyncio.create_task(follow())
                while events < waiting:  # noqa: ASYNC110 - counted by the follower
                    await asyncio.sleep(0.01)
                before = database.queries, events

                async def send() -> None:
                    self._first = None
                    for numbers in batches(range(jobs), JOBS_PER_CALL):
                        plans = [plan("noop", range(number, number + 1)) for number in numbers]
                        ids = await submit_many(self._database, plans, CATALOG, max_jobs=MOST_JOBS)
                        self._first = self._first or ids[0]
                        for execution_id in ids if active else ():
                            follower.add(execution_id)

                async def all_seen() -> bool:
                    return await self._all_recorded() and (not active or len(follower) == waiting)

                moments = await timed(send, all_seen)
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            return {**moments, "queries": database.queries - before[0], "events": events - before[1]}

    async def _submit_one(self, number: int) -> None:
        one = plan("noop", range(number, number + 1))
        stored = await submit(self._database, one, CATALOG, max_jobs=MOST_JOBS)
        self._first = min(self._first or stored.execution_id, stored.execution_id)

    async def _all_recorded(self) -> bool:
        # Ids grow with time. The newest come first: while the work goes on, this looks at few rows.
        unfinished = await self._looking.fetchval(
            """SELECT 1 FROM executions WHERE id >= $1 AND status IN ('queued', 'running')
               ORDER BY id DESC LIMIT 1""",
            self._first,
        )
        if unfinished is None:
            failed = await self._looking.fetchval(
                "SELECT count(*) FROM executions WHERE id >= $1 AND status <> 'succeeded'", self._first
            )
            if failed:
                raise RuntimeError(f"{failed} executions did not succeed")
        return unfinished is None


def plan(operation_name: str, numbers: range) -> Submission:
    """Return a plan with one job for each number."""
    names = count()
    jobs = [{"id": f"j{next(names)}", "operation": operation_name, "params": {"n": number}} for number in numbers]
    return read_submission({"executionPlan": {"jobs": jobs}})


async def send() -> None:
    """Answer the bench's requests."""
    await upgrade(STORE)
    looking = await asyncpg.connect(STORE)
    collect_garbage_less_often()
    async with Database(STORE, size=32) as database:
        client = Client(database, looking)
        await answer(
            bulk=client.bulk,
            singly=client.singly,
            pickups=client.pickups,
            text=client.text,
            followed=client.followed,
            recorded=client.recorded,
        )
    await looking.close()


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING), cache_logger_on_first_use=True
    )
    if sys.argv[1] == "work":
        marks = Marks()
        uvloop.run(work())
    else:
        uvloop.run(send())
