"""A worker's sign of life, whose answer tells what has become of its jobs."""

import json
from uuid import UUID

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.statuses import JobStatus
from callsheet.engine.complete import Completer
from callsheet.engine.outcomes import Outcome
from callsheet.engine.run import Run

log = structlog.get_logger(__name__)

_SETTLED = 30.0
"""Seconds after which a run that is recorded as ours, and that we do not know, can only be a lost answer."""


class Beat:
    """Beats for one worker and all its runs together."""

    def __init__(self, database: Database, worker_id: UUID, runs: dict[UUID, Run], completer: Completer) -> None:
        self._database = database
        self._worker_id = worker_id
        self._runs = runs
        self._completer = completer

    async def once(self, *, stopping: bool = False) -> dict[str, int] | None:
        """Beat; stop runs that are lost or to be cancelled; return the lanes wanted, None if unregistered."""
        runs = {run.job.id: run.job.epoch for run in self._runs.values()}

        async def ask(connection: Connection) -> tuple[dict[str, int] | None, list[tuple[UUID, int, str]]]:
            row = await sql.beat(connection, id=self._worker_id, stopping=stopping)
            found = await sql.check_runs(
                connection,
                worker_id=self._worker_id,
                ids=list(runs),
                epochs=list(runs.values()),
                settled=_SETTLED,
            )
            lanes = json.loads(row["lanes"]) if row else None
            return lanes, [(r["id"], r["epoch"], r["finding"]) for r in found]

        lanes, findings = await self._database.retry(ask, seconds=10)
        for job, epoch, finding in findings:
            await self._act(job, epoch, finding)
        return lanes

    async def _act(self, job: UUID, epoch: int, finding: str) -> None:
        run = self._runs.get(job)
        if finding == "stray":
            await self._give_back(job, epoch)
        elif run is None or run.job.epoch != epoch:
            return
        elif finding == "cancel":
            run.stop("cancelled")
        elif run.working:
            # A run that works no more is gone because its outcome was just recorded.
            log.warning("a job was taken from this worker, its run is stopped", job=str(job), epoch=epoch)
            run.stop("lost")

    async def _give_back(self, job: UUID, epoch: int) -> None:
        if job in self._runs:
            return
        log.warning("a claim whose answer was lost is given back", job=str(job), epoch=epoch)
        rows = await self._database.retry(lambda c: sql.get_job(c, id=job))
        if rows is not None:
            await self._completer.end(
                Outcome(job, rows["execution_id"], epoch, JobStatus.QUEUED, reason="claim answer lost")
            )
