"""Claim ready jobs of a queue.

Each claim increments the epoch of the job. The epoch is a fencing token: every write of a run carries it, and the
database ignores writes with an old one. So a worker that was declared lost, but still runs, cannot overwrite the work
of the next run.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker has claimed."""

    id: UUID
    """Id of the job record."""
    execution_id: UUID
    job_id: str
    """Id in the plan."""
    operation: str
    queue: str
    params: str
    """JSON text, references unresolved."""
    epoch: int
    """Fencing token of this claim."""
    attempts: int
    """Failed runs so far."""
    starts: int
    """Starts since the last recorded outcome, including this one."""
    max_attempts: int
    timeout_seconds: float
    priority: int
    progress: float
    """Progress of the run before, from 0 to 1, if this one may continue its work; else 0."""
    cancel_requested: bool
    """Whether a cancel of the execution was requested while the claim was in progress."""
    queued_at: datetime | None = None
    """When it became ready."""
    traceparent: str | None = None
    """Trace of the request that submitted the execution."""

    @property
    def log_facts(self) -> dict[str, Any]:
        """What every log line about this run contains: `job` is the id of the record, `job_id` that in the plan."""
        return {
            "execution": str(self.execution_id),
            "job": str(self.id),
            "job_id": self.job_id,
            "operation": self.operation,
            "attempt": self.attempts + 1,
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim."""

    jobs: list[ClaimedJob]
    retry_after: float | None = None
    """Seconds until the rate limit permits more jobs. None if no rate limit held jobs back."""


class Claimer:
    """Claims jobs for one worker."""

    def __init__(
        self,
        database: Database,
        worker_id: UUID,
        worker_name: str,
        operations: list[str],
        *,
        suspect_from: int,
        only_reserved: bool = False,
    ) -> None:
        """Claim jobs of these operations; with `only_reserved`, those that are reserved for this worker.

        A job is a suspect if its worker died in each of its last `suspect_from` starts.
        """
        self._suspect_from = suspect_from
        self._only = worker_id if only_reserved else None
        self._database = database
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._operations = operations
        self._limited: set[str] = set()

    async def refresh_limits(self, queues: list[str]) -> set[str]:
        """Read which of these queues are paused or limited. Return those that were not known to be.

        A claim from an unlimited queue is one statement, which returns no jobs once the queue is limited. So the caller
        should wake the lanes of the returned queues.
        """
        rows = await self._database.retry(lambda c: sql.limited_queues(c, queues=queues), timeout=FOREVER)
        before, self._limited = self._limited, {row["name"] for row in rows}
        return self._limited - before

    async def queues_with_work(self, queues: list[str]) -> list[str]:
        """Return those of the queues that have ready jobs."""
        rows = await self._database.retry(lambda c: sql.ready_queues(c, queues=queues))
        return [row["name"] for row in rows]

    async def queues_with_suspects(self, queues: list[str]) -> list[str]:
        """Return those of the queues that have ready suspects."""
        rows = await self._database.retry(
            lambda c: sql.queues_with_suspects(c, queues=queues, suspect_from=self._suspect_from)
        )
        return [row["name"] for row in rows]

    async def claim(self, queue: str, free: int, *, suspects: bool = False) -> Claim:
        """Claim up to `free` jobs of this queue: either only suspects, or only other jobs.

        If the response is lost, the claimed jobs are found and requeued after a later heartbeat.
        """
        if queue in self._limited:
            return await self._database.retry(
                lambda c: self._claim_limited(c, queue, free, suspects), timeout=FOREVER, transaction=True
            )
        return Claim(await self._database.retry(lambda c: self._claim_rows(c, queue, free, suspects), timeout=FOREVER))

    async def _claim_limited(self, connection: Connection, queue: str, free: int, suspects: bool) -> Claim:
        limits = await sql.lock_limited_queue(connection, queue=queue)
        if limits is None:
            return Claim(await self._claim_rows(connection, queue, free, suspects))
        if limits["paused"]:
            return Claim([])
        slots = free
        if limits["max_running"] is not None:
            slots = min(slots, limits["max_running"] - await sql.count_running(connection, queue=queue))
        if limits["rate_limit"] is not None:
            slots = min(slots, limits["rate_limit"] - limits["starts_in_period"])
        if slots <= 0:
            return Claim([], limits["retry_after"])
        jobs = await self._claim_rows(connection, queue, slots, suspects, limits_checked=True)
        if jobs and limits["rate_limit"] is not None:
            await sql.record_starts(connection, queue=queue, starts=len(jobs))
        # If the limit held jobs back, the next start is possible when the oldest one leaves the rate period.
        return Claim(jobs, limits["retry_after"] if len(jobs) == slots < free else None)

    async def _claim_rows(
        self, connection: Connection, queue: str, free: int, suspects: bool, *, limits_checked: bool = False
    ) -> list[ClaimedJob]:
        rows = await sql.claim(
            connection,
            queue=queue,
            free=free,
            operations=self._operations,
            only=self._only,
            suspects=suspects,
            suspect_from=self._suspect_from,
            limits_checked=limits_checked,
            worker_id=self._worker_id,
            worker_name=self._worker_name,
        )
        return [
            ClaimedJob(
                id=row["id"],
                execution_id=row["execution_id"],
                job_id=row["job_id"],
                operation=row["operation"],
                queue=row["queue"],
                params=row["params"],
                epoch=row["epoch"],
                attempts=row["attempts"],
                starts=row["starts"],
                max_attempts=row["max_attempts"],
                timeout_seconds=row["timeout_seconds"],
                priority=row["priority"],
                progress=row["progress"],
                cancel_requested=row["cancel_requested"],
                queued_at=row["queued_at"],
                traceparent=row["traceparent"],
            )
            for row in rows
        ]
