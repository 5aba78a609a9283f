"""Taking ready jobs off a queue."""

from dataclasses import dataclass
from uuid import UUID

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker was given; `epoch` proves it."""

    id: UUID
    execution_id: UUID
    job_id: str
    operation: str
    queue: str
    params: str
    epoch: int
    attempts: int
    starts: int
    max_attempts: int
    timeout_seconds: float
    has_downstream: bool
    priority: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What one look at a queue gave."""

    jobs: list[ClaimedJob]
    retry_after: float | None = None
    """Seconds until a rate limit lets more through; None when only a wake-up can bring more."""


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
        only: UUID | None = None,
    ) -> None:
        """Claim jobs of these operations; with `only`, those of one execution.

        A job is a suspect once `suspect_from` starts of it ended with the death of its worker.
        """
        self._suspect_from = suspect_from
        self._only = only
        self._database = database
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._operations = operations
        self._limited: set[str] = set()

    async def refresh_limits(self, queues: list[str]) -> set[str]:
        """Find out which of these queues are paused or limited; the others are claimed from in one statement.

        Returns those that were not known to be: until now they seemed empty.
        """
        rows = await self._database.retry(lambda c: sql.limited_queues(c, queues=queues))
        before, self._limited = self._limited, {row["name"] for row in rows}
        return self._limited - before

    async def queues_with_work(self, queues: list[str]) -> list[str]:
        """Return those of the queues in which something is ready."""
        rows = await self._database.retry(lambda c: sql.ready_queues(c, queues=queues))
        return [row["name"] for row in rows]

    async def queues_with_suspects(self, queues: list[str]) -> list[str]:
        """Return those of the queues in which a suspect is ready."""
        rows = await self._database.retry(
            lambda c: sql.queues_with_suspects(c, queues=queues, suspect_from=self._suspect_from)
        )
        return [row["name"] for row in rows]

    async def claim(self, queue: str, free: int, *, suspects: bool = False) -> Claim:
        """Take up to `free` jobs of this queue: either suspects, or the others.

        If the answer is lost on the way, the rows taken come to light at the worker's next beat.
        """
        if queue in self._limited:
            return await self._database.retry(
                lambda c: self._claim_limited(c, queue, free, suspects), seconds=FOREVER, transaction=True
            )
        return Claim(await self._database.retry(lambda c: self._claim_rows(c, queue, free, suspects), seconds=FOREVER))

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
            return Claim([], limits["next_in"])
        jobs = await self._claim_rows(connection, queue, slots, suspects, seats_counted=True)
        if jobs and limits["rate_limit"] is not None:
            await sql.record_starts(connection, queue=queue, starts=len(jobs))
        # Seats that a rate kept back come free with its oldest start, at the soonest.
        return Claim(jobs, limits["next_in"] if len(jobs) == slots < free else None)

    async def _claim_rows(
        self, connection: Connection, queue: str, free: int, suspects: bool, *, seats_counted: bool = False
    ) -> list[ClaimedJob]:
        rows = await sql.claim(
            connection,
            queue=queue,
            free=free,
            operations=self._operations,
            only=self._only,
            suspects=suspects,
            suspect_from=self._suspect_from,
            seats_counted=seats_counted,
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
                has_downstream=row["has_downstream"],
                priority=row["priority"],
                cancel_requested=row["cancel_requested"],
            )
            for row in rows
        ]
