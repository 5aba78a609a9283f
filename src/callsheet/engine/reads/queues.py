"""Read queues."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.moves import Move, moves_from
from callsheet.domain.records import QueueRecord
from callsheet.domain.statuses import JobStatus
from callsheet.engine.queue_minutes import QueueRates, read_queue_rates
from callsheet.engine.reads.workers import list_workers
from callsheet.operation_api.catalog import Catalog


async def list_queues(database: Database, catalog: Catalog) -> list[QueueRecord]:
    """Return every queue that has an operation, a setting, a lane or an unfinished job."""
    counts = await database.retry(sql.queue_counts, timeout=5)
    settings = {row["name"]: row for row in await database.retry(sql.queue_settings, timeout=5)}
    workers = [
        worker for worker in await list_workers(database) if worker.status == "working" and not worker.only_reserved
    ]
    rates = await database.retry(lambda c: read_queue_rates(c, shared_now()), timeout=5)
    by_queue: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in counts:
        by_queue[row["queue"]][row["status"]] = row
    names = {*catalog.queues(), *settings, *by_queue, *(queue for w in workers for queue in w.lanes)}
    return [
        _queue(
            name,
            by_queue[name],
            settings.get(name),
            rates.get(name, QueueRates()),
            lanes=[slots for worker in workers if (slots := worker.lanes.get(name, 0)) > 0],
            operations=[op.name for op in catalog.operations() if op.queue == name],
        )
        for name in sorted(names)
    ]


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that waits in a queue for its start."""

    id: UUID
    execution_id: UUID
    job_id: str
    operation: str
    priority: int
    status: JobStatus
    scheduled_at: datetime | None
    on_hold_at: datetime | None
    queued_at: datetime | None

    @property
    def moves(self) -> list[Move]:
        """What an operator can do with it."""
        return moves_from(self.status, is_on_hold=self.on_hold_at is not None)


async def next_jobs(database: Database, queue: str, *, limit: int) -> list[WaitingJob]:
    """Return jobs of a queue in the order in which they start: up to `limit` that are ready, scheduled, and on hold."""
    rows = await database.retry(lambda c: sql.next_jobs_of_queue(c, queue=queue, limit=limit), timeout=5)
    names = [each.name for each in fields(WaitingJob)]
    return [WaitingJob(**{**{name: row[name] for name in names}, "status": JobStatus(row["status"])}) for row in rows]


def _queue(
    name: str,
    counts: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
    rates: QueueRates,
    *,
    lanes: list[int],
    operations: list[str],
) -> QueueRecord:
    jobs = {status: counts[status]["jobs"] if status in counts else 0 for status in JobStatus}
    return QueueRecord(
        name=name,
        paused=bool(settings and settings["paused_at"]),
        max_running=settings["max_running"] if settings else None,
        rate_limit=settings["rate_limit"] if settings else None,
        rate_period=settings["rate_period"] if settings else None,
        queued=jobs[JobStatus.QUEUED],
        running=jobs[JobStatus.RUNNING],
        scheduled=jobs[JobStatus.SCHEDULED],
        waiting=jobs[JobStatus.WAITING],
        on_hold=counts["on_hold"]["jobs"] if "on_hold" in counts else 0,
        oldest_queued_at=counts["queued"]["oldest"] if "queued" in counts else None,
        slots=sum(lanes),
        workers=len(lanes),
        started_per_minute=round(rates.started_per_minute, 3),
        ended_per_minute=round(rates.ended_per_minute, 3),
        duration_p50=rates.p50 and round(rates.p50, 3),
        duration_p95=rates.p95 and round(rates.p95, 3),
        operations=operations,
    )
