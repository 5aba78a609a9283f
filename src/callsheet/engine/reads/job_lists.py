"""Read lists of jobs, over all executions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.moves import moves_from
from callsheet.domain.records import JobSummary
from callsheet.domain.statuses import JobStatus, actions_from
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.reads.id_times import id_range
from callsheet.engine.reads.wait_reasons import read_fleet_of, wait_reason

_COLUMNS = (
    *("id", "execution_id", "job_id", "operation", "queue", "priority", "progress", "progress_message", "attempts"),
    *("max_attempts", "provider", "cost", "created_at", "queued_at", "scheduled_at", "started_at", "finished_at"),
)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Filter of a list of jobs; None matches all."""

    statuses: list[JobStatus] | None = None
    operation: str | None = None
    """Canonical name."""
    queue: str | None = None
    error_code: str | None = None
    """Of a failed job."""
    execution_id: UUID | None = None
    created_after: datetime | None = None
    """By the clock of the server that stored the job."""
    created_before: datetime | None = None


async def list_jobs(database: Database, filters: JobFilter, *, before: UUID | None, limit: int) -> list[JobSummary]:
    """Return one page of jobs, newest first. `before` is the last id of the previous page."""

    async def read(connection: Connection) -> list[JobSummary]:
        ids = [row["id"] for row in await _ids(connection, filters, before, limit)]
        rows = await sql.listed_jobs(connection, ids=ids)
        dependencies = {row["id"]: row["awaited"] for row in await sql.dependencies_of_jobs(connection, ids=ids)}
        fleet = await read_fleet_of(connection, rows)
        return [_summary(row, wait_reason(row, fleet, dependencies.get(row["id"], []))) for row in rows]

    return await database.retry(read, timeout=10)


async def _ids(connection: Connection, filters: JobFilter, before: UUID | None, limit: int) -> Any:
    first, last = id_range(filters.created_after, filters.created_before)
    common = {
        "statuses": filters.statuses,
        "operation": filters.operation,
        "queue": filters.queue,
        "first_id": first,
        "last_id": last,
        "before": before,
        "limit": limit,
    }
    code = filters.error_code
    if filters.execution_id is not None:
        execution_id = filters.execution_id
        return await sql.list_job_ids_of_execution(connection, **common, execution_id=execution_id, error_code=code)
    if code is not None:
        return await sql.list_failed_job_ids(connection, **common, error_code=code)
    return await sql.list_job_ids(connection, **common)


def _summary(row: Mapping[str, Any], reason: WaitReason | None) -> JobSummary:
    status = JobStatus(row["status"])
    is_stopping = row["cancel_requested_at"] is not None and status is JobStatus.RUNNING
    return JobSummary(
        **{name: row[name] for name in _COLUMNS},
        status=status,
        wait_reason=reason,
        error=orjson.loads(row["error"]) if row["has_error"] else None,
        worker=row["worker_name"],
        actions=[] if is_stopping else actions_from(status),
        moves=moves_from(status, is_on_hold=row["on_hold_at"] is not None),
    )
