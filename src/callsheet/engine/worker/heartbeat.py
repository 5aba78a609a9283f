"""Heartbeat of a worker. Its response lists runs to stop."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.database import Connection, Database, DedicatedConnection
from callsheet.db.statements import sql
from callsheet.domain.errors import OutcomeUnknown, TimedOut
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.complete import complete
from callsheet.engine.jobs.completer import Completer
from callsheet.engine.jobs.failures import error_json
from callsheet.engine.jobs.outcomes import Outcome
from callsheet.engine.worker.executor import Executor, Run

log = structlog.get_logger(__name__)

_LOST_CLAIM_AFTER = 30.0
"""Seconds after a claim until a run that is assigned to this worker, but does not run here, counts as a lost claim."""


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """What the database knows about a worker."""

    lanes: dict[str, int] | None
    """The configured lanes (queue → slots), or None if the worker is not registered any more."""
    findings: list[tuple[UUID, int, str]]
    """Runs that differ from the recorded ones: job, epoch, and `lost`, `cancel` or `unknown`."""
    stop_requested: bool
    """Whether a person wants the worker to end."""
    at: float
    """When it arrived, on the monotonic clock."""


class Heartbeat:
    """Sends the heartbeat of one worker, with all its runs.

    It uses a dedicated connection, so that a worker whose connection pool is busy does not look dead.
    """

    def __init__(
        self,
        database: Database,
        worker_id: UUID,
        executor: Executor,
        completer: Completer,
        *,
        worker_timeout: float,
        is_stopping: Callable[[], bool],
    ) -> None:
        """`worker_timeout`: seconds without a heartbeat after which other workers treat this one as lost."""
        self._is_stopping = is_stopping
        self._database = database
        self._worker_id = worker_id
        self._executor = executor
        self._completer = completer
        self._worker_timeout = worker_timeout
        self.outage = database.outage
        self._connection = DedicatedConnection(database.address, timeout=worker_timeout / 4)
        self._connection_lock = asyncio.Lock()
        self._last: float | None = None
        self._requeuing: dict[UUID, asyncio.Task[None]] = {}

    @property
    def is_healthy(self) -> bool:
        """Whether the last heartbeat is recent. Otherwise this worker must not declare others lost."""
        return self._last is not None and time.monotonic() - self._last < self._worker_timeout / 2

    async def send(self) -> HeartbeatResponse:
        """Send a heartbeat. Raises one of TRANSIENT_ERRORS if the database does not respond in time.

        It is called in the heartbeat thread; `apply` needs the event loop of the worker.
        """
        runs = {run.job.id: run.job.epoch for run in list(self._executor.runs.values())}

        async def query(connection: Connection) -> tuple[asyncpg.Record | None, list[asyncpg.Record]]:
            row = await sql.heartbeat(
                connection, id=self._worker_id, stopping=self._is_stopping(), timeout=self._worker_timeout
            )
            findings = await sql.check_runs(
                connection,
                worker_id=self._worker_id,
                ids=list(runs),
                epochs=list(runs.values()),
                min_age=_LOST_CLAIM_AFTER,
            )
            return row, findings

        async with self._connection_lock:
            row, findings = await self._connection.run(query)
        self._last = time.monotonic()
        return HeartbeatResponse(
            lanes=json.loads(row["lanes"]) if row else None,
            stop_requested=bool(row and row["stop_requested"]),
            findings=[(finding["id"], finding["epoch"], finding["finding"]) for finding in findings],
            at=self._last,
        )

    async def fail_hung_run(self, run: Run, *, worker_ends: bool) -> None:
        """Record that a run exceeded its time limit, from the heartbeat thread. `worker_ends`: the process ends now."""
        seconds = run.job.timeout_seconds
        error = TimedOut(
            f"The job blocked the event loop of its worker beyond its time limit of {seconds:g} s.", seconds=seconds
        )
        outcome = Outcome(
            run.job.id,
            run.job.execution_id,
            run.job.epoch,
            JobStatus.FAILED,
            error=error_json(error, attempt=run.job.attempts + 1),
        )

        async def record(connection: Connection) -> None:
            async with connection.transaction():
                await complete(connection, [outcome])
            if worker_ends:
                await sql.mark_worker_lost(connection, id=self._worker_id)

        async with self._connection_lock:
            await self._connection.run(record)

    def apply(self, response: HeartbeatResponse) -> None:
        """Stop the runs that are lost or to be cancelled, and requeue jobs that do not run here."""
        for job, epoch, finding in response.findings:
            self._apply(job, epoch, finding)

    def close(self) -> None:
        """Close the connection. Call it where `send` was called."""
        self._connection.close()

    def cancel_requeues(self) -> None:
        """Cancel what `apply` has started."""
        for task in self._requeuing.values():
            task.cancel()

    def _apply(self, job: UUID, epoch: int, finding: str) -> None:
        run = self._executor.runs.get(job)
        if finding == "unknown":
            if run is None and job not in self._requeuing:
                task = asyncio.create_task(self._requeue(job, epoch))
                self._requeuing[job] = task
                task.add_done_callback(lambda _: self._requeuing.pop(job, None))
        elif run is None or run.job.epoch != epoch:
            return
        elif finding == "cancel":
            run.stop("cancelled")
        elif run.in_operation:
            # Otherwise its outcome has just been recorded, which is why the job is not assigned to it any more.
            log.warning("run lost its job, stopping it", job=str(job), epoch=epoch)
            run.stop("lost")

    async def _requeue(self, job: UUID, epoch: int) -> None:
        """Requeue a job that is assigned to this worker but does not run here.

        Either the response to its claim was lost, so it never ran; or it ran, and its outcome could not be recorded.
        """
        row = await self._database.retry(lambda c: sql.get_job(c, id=job))
        if row is None:
            return
        ran = (job, epoch) in self._executor.unrecorded
        log.warning("requeued a run that this worker does not have", job=str(job), epoch=epoch, ran=ran)
        outcome = Outcome(job, row["execution_id"], epoch, JobStatus.QUEUED, reason="run not known to its worker")
        if ran and row["on_worker_lost"] == "park":
            error = error_json(OutcomeUnknown(), attempt=row["attempts"] + 1)
            outcome = Outcome(job, row["execution_id"], epoch, JobStatus.FAILED, error=error)
        await self._completer.record(outcome)
        self._executor.unrecorded.discard((job, epoch))


async def extend_heartbeat(database: Database, worker_id: UUID) -> None:
    """Send the heartbeat of a worker that runs but cannot send it, from its supervisor."""
    await database.retry(lambda c: sql.extend_heartbeat(c, id=worker_id), timeout=3)
