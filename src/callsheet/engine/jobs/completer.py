"""Batch writer of outcomes."""

import asyncio

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.complete import complete
from callsheet.engine.jobs.outcomes import Outcome, RunKey

_MAX_BATCH = 500
_WRITERS = 2


class Completer:
    """Records outcomes. An outcome is written at once when idle; those that arrive during a write form a batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: list[tuple[Outcome, asyncio.Future[JobStatus | None]]] = []
        self._arrived = asyncio.Event()

    async def record(self, outcome: Outcome) -> JobStatus | None:
        """Record an outcome. Return the new status of the job, or None if the run does not own the job any more."""
        future: asyncio.Future[JobStatus | None] = asyncio.get_running_loop().create_future()
        self._pending.append((outcome, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Write until cancelled. Two writers, so that one batch collects outcomes while the other one commits."""
        try:
            async with asyncio.TaskGroup() as writers:
                for _ in range(_WRITERS):
                    writers.create_task(self._write_batches())
        finally:
            for _, future in self._pending:
                future.cancel()

    async def _write_batches(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._pending = self._pending[:_MAX_BATCH], self._pending[_MAX_BATCH:]
            if not self._pending:
                self._arrived.clear()
            if batch:
                await self._write(batch)

    async def _write(self, batch: list[tuple[Outcome, asyncio.Future[JobStatus | None]]]) -> None:
        outcomes = [outcome for outcome, _ in batch]
        try:
            recorded = await self._complete(outcomes)
        except Exception as error:  # noqa: BLE001 - raised by `record`
            if len(batch) > 1:
                # The database may reject only one of the outcomes: write each one separately.
                for one in batch:
                    await self._write([one])
                return
            _set_exception(batch[0][1], error)
            return
        for outcome, future in batch:
            if not future.done():
                future.set_result(recorded.get(outcome.key))

    async def _complete(self, outcomes: list[Outcome]) -> dict[RunKey, JobStatus]:
        tries = 0

        async def write(connection: Connection) -> dict[RunKey, JobStatus]:
            nonlocal tries
            tries += 1
            done = await complete(connection, outcomes)
            missing = [o for o in outcomes if o.key not in done]
            if missing and tries > 1:
                # The first try may have been committed, and only its response was lost.
                rows = await sql.already_ended(
                    connection, ids=[o.job for o in missing], epochs=[o.epoch for o in missing]
                )
                done |= {(row["id"], row["epoch"]): JobStatus(row["status"]) for row in rows}
            return done

        return await self._database.retry(write, timeout=FOREVER, transaction=True)


def _set_exception(future: asyncio.Future[JobStatus | None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
