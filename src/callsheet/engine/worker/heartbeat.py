"""A worker's sign of life, whose answer tells what has become of its jobs."""

import asyncio
import json
import time
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.database import Connection, Database, OwnConnection
from callsheet.db.statements import sql
from callsheet.domain.errors import OutcomeUnknown
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.complete import Completer
from callsheet.engine.jobs.outcomes import Outcome, error_json
from callsheet.engine.worker.executor import Executor

log = structlog.get_logger(__name__)

_SETTLED = 30.0
"""Seconds after which a run that is recorded as ours, and that we do not know, can only be a lost answer."""


class Heartbeat:
    """Beats for one worker and all its runs together.

    Over a connection of its own: work that holds up every other connection must not make the worker look dead.
    """

    def __init__(
        self, database: Database, worker_id: UUID, runner: Executor, completer: Completer, *, worker_timeout: float
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self._runner = runner
        self._completer = completer
        self._worker_timeout = worker_timeout
        self._connection = OwnConnection(database.dsn, timeout=worker_timeout / 4)
        self._last: float | None = None
        self._giving_back: dict[UUID, asyncio.Task[None]] = {}

    @property
    def steady(self) -> bool:
        """Whether the last beat went through in time, so that we may judge the silence of others."""
        return self._last is not None and time.monotonic() - self._last < self._worker_timeout / 2

    async def send(self, *, stopping: bool = False) -> dict[str, int] | None:
        """Beat; stop runs that are lost or to be cancelled; return the lanes wanted, None if unregistered.

        Raises what PASSING names when the database does not answer in time.
        """
        runs = {run.job.id: run.job.epoch for run in self._runner.runs.values()}

        async def ask(connection: Connection) -> tuple[asyncpg.Record | None, list[asyncpg.Record]]:
            row = await sql.heartbeat(connection, id=self._worker_id, stopping=stopping, timeout=self._worker_timeout)
            found = await sql.check_runs(
                connection,
                worker_id=self._worker_id,
                ids=list(runs),
                epochs=list(runs.values()),
                settled=_SETTLED,
            )
            return row, found

        row, findings = await self._connection.run(ask)
        self._last = time.monotonic()
        for found in findings:
            self._apply(found["id"], found["epoch"], found["finding"])
        return json.loads(row["lanes"]) if row else None

    def close(self) -> None:
        """Close the connection."""
        for task in self._giving_back.values():
            task.cancel()
        self._connection.close()

    def _apply(self, job: UUID, epoch: int, finding: str) -> None:
        run = self._runner.runs.get(job)
        if finding == "stray":
            if run is None and job not in self._giving_back:
                task = asyncio.create_task(self._requeue(job, epoch))
                self._giving_back[job] = task
                task.add_done_callback(lambda _: self._giving_back.pop(job, None))
        elif run is None or run.job.epoch != epoch:
            return
        elif finding == "cancel":
            run.stop("cancelled")
        elif run.working:
            # A run that works no more is gone because its outcome was just recorded.
            log.warning("a job was taken from this worker, its run is stopped", job=str(job), epoch=epoch)
            run.stop("lost")

    async def _requeue(self, job: UUID, epoch: int) -> None:
        """End a run that is recorded as ours and does not run here.

        Either the answer to its claim was lost, and it never ran; or it did, and its end could not be recorded.
        """
        row = await self._database.retry(lambda c: sql.get_job(c, id=job))
        if row is None:
            return
        ran = (job, epoch) in self._runner.unrecorded
        log.warning("a run that is not here is given back", job=str(job), epoch=epoch, ran=ran)
        outcome = Outcome(job, row["execution_id"], epoch, JobStatus.QUEUED, reason="run not known to its worker")
        if ran and row["on_worker_lost"] == "park":
            error = error_json(OutcomeUnknown(), attempt=row["attempts"] + 1)
            outcome = Outcome(job, row["execution_id"], epoch, JobStatus.FAILED, error=error)
        await self._completer.end(outcome)
        self._runner.unrecorded.discard((job, epoch))
