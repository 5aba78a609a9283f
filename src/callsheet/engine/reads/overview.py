"""Read what happens now: waiting jobs, recent failures, running jobs, and how providers do.

Each read has a limit of rows, so that it takes as long in a long history as in a short one.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.statuses import JobStatus
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.reads.id_times import id_at
from callsheet.engine.reads.wait_reasons import read_fleet_of, wait_reason

MOST_WAITING = 200
"""Waiting jobs of one status that are read."""
MOST_FAILED = 1000
"""Failed executions that are read."""
MOST_RUNNING = 500
"""Running jobs that are read."""
MOST_SUBMISSIONS = 1000
"""Submissions that are read."""


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Jobs of one queue that wait for the same reason."""

    queue: str
    reason: WaitReason
    jobs: int
    statuses: list[JobStatus]
    """Those that these jobs have."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed jobs with the same code."""

    code: str
    jobs: int
    message: str | None
    """Of one of them."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker runs."""

    id: UUID
    execution_id: UUID
    job_id: str
    operation: str
    queue: str
    worker_id: UUID | None
    progress: float
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProviderOutcomes:
    """How the newest submissions to a provider ended."""

    provider: str
    submissions: int
    newest: datetime
    rejected: int
    unknown: int
    failed: int
    succeeded: int
    open: int
    failed_job: UUID | None
    """Of the newest failure; None also if its execution was deleted."""
    failed_at: datetime | None
    error: str | None


async def database_size(database: Database) -> int:
    """Return the size of the database on its disk, in bytes."""
    size: int = await database.retry(lambda c: sql.database_size(c), timeout=5)
    return size


async def waiting_groups(database: Database) -> list[WaitingGroup]:
    """Return why jobs wait, the most frequent reason first, from up to `MOST_WAITING` jobs of each status."""

    async def read(connection: Connection) -> list[WaitingGroup]:
        rows = await sql.waiting_jobs(connection, limit=MOST_WAITING)
        fleet = await read_fleet_of(connection, rows)
        groups: dict[tuple[str, str], list[tuple[WaitReason, JobStatus]]] = defaultdict(list)
        for row in rows:
            if (reason := wait_reason(row, fleet, [])) is not None:
                groups[row["queue"], reason.code].append((reason, JobStatus(row["status"])))
        found = [
            WaitingGroup(queue, jobs[0][0], len(jobs), sorted({status for _, status in jobs}))
            for (queue, _), jobs in groups.items()
        ]
        return sorted(found, key=lambda group: -group.jobs)

    return await database.retry(read, timeout=5)


async def failures_since(database: Database, period: timedelta) -> list[FailureGroup]:
    """Return the failed jobs of executions of the last time, by code, from up to `MOST_FAILED` executions."""
    first = id_at(shared_now() - period)
    rows = await database.retry(lambda c: sql.failures_by_code(c, first=first, limit=MOST_FAILED), timeout=5)
    return [FailureGroup(**row) for row in rows]


async def running_jobs(database: Database) -> list[RunningJob]:
    """Return up to `MOST_RUNNING` running jobs."""
    rows = await database.retry(lambda c: sql.running_jobs(c, limit=MOST_RUNNING), timeout=5)
    return [RunningJob(**row) for row in rows]


async def queues_with_ready_jobs(database: Database, queues: list[str]) -> set[str]:
    """Return which of these queues have queued jobs, without counting them."""
    return {row["name"] for row in await database.retry(lambda c: sql.ready_queues(c, queues=queues), timeout=5)}


async def provider_outcomes(database: Database) -> dict[str, ProviderOutcomes]:
    """Return how the newest submissions ended, by provider, from up to `MOST_SUBMISSIONS` of them."""
    rows = await database.retry(lambda c: sql.provider_outcomes(c, limit=MOST_SUBMISSIONS), timeout=5)
    return {row["provider"]: ProviderOutcomes(**row) for row in rows}
