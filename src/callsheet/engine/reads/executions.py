"""Read executions."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.records import Execution, ExecutionSummary
from callsheet.domain.statuses import ENDED, ExecutionStatus, JobStatus, execution_actions_from
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.engine.reads.jobs import job_record
from callsheet.engine.reads.wait_reasons import read_wait_reasons


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Filter of a list of executions; None matches all."""

    statuses: list[ExecutionStatus] | None = None
    search: str | None = None
    """Text in the name or the metadata, or the whole id."""
    created_after: datetime | None = None
    id_prefix: str | None = None
    """First hexadecimal digits of the id."""


async def get_execution(database: Database, execution_id: UUID, sign: SignUrl) -> Execution:
    """Return an execution with its jobs and artifacts. Raises NotFound."""
    # One snapshot, so that execution, jobs and artifacts are consistent.
    async with database.connection() as c, c.transaction(isolation="repeatable_read", readonly=True):
        return await _read_execution(c, execution_id, sign)


async def _read_execution(connection: Connection, execution_id: UUID, sign: SignUrl) -> Execution:
    row = await sql.get_execution(connection, id=execution_id)
    if row is None:
        raise NotFound(f"There is no execution {execution_id}.")
    job_rows = await sql.jobs_of_executions(connection, execution_ids=[execution_id])
    dependencies = await sql.dependencies_of(connection, execution_id=execution_id)
    files = await sql.artifacts_of_execution(connection, execution_id=execution_id)
    depends_on = {r["downstream"]: r["upstream"] for r in dependencies}
    artifacts = {r["id"]: stored_artifact(r, sign) for r in files}
    reasons = await read_wait_reasons(connection, job_rows, {r["downstream"]: r["awaited"] for r in dependencies})
    jobs = [job_record(job, depends_on.get(job["job_id"], []), artifacts, reasons.get(job["id"])) for job in job_rows]
    counts: dict[JobStatus, int] = defaultdict(int)
    for job in jobs:
        counts[job.status] += 1
    done = sum(1.0 if job.status in ENDED else job.progress for job in jobs)
    return Execution(
        **_summary(row, dict(counts), done),
        callback_url=row["callback_url"],
        last_event=row["last_event"],
        jobs=jobs,
        artifacts=list(artifacts.values()),
    )


async def list_executions(
    database: Database, filters: ExecutionFilter, *, before: UUID | None, limit: int
) -> list[ExecutionSummary]:
    """Return one page of executions, newest first. `before` is the last id of the previous page."""

    async def read(connection: Connection) -> list[ExecutionSummary]:
        rows = await sql.list_executions(
            connection,
            statuses=filters.statuses,
            search=filters.search,
            name_pattern=_pattern(filters.search),
            metadata_pattern=_pattern(_json_text(filters.search)),
            created_after=filters.created_after,
            first_id=_padded(filters.id_prefix, "0"),
            last_id=_padded(filters.id_prefix, "f"),
            before=before,
            limit=limit,
        )
        counts: dict[UUID, dict[JobStatus, int]] = defaultdict(dict)
        done: dict[UUID, float] = defaultdict(float)
        for row in await sql.job_summaries(connection, execution_ids=[row["id"] for row in rows]):
            status = JobStatus(row["status"])
            counts[row["execution_id"]][status] = row["jobs"]
            done[row["execution_id"]] += row["jobs"] if status in ENDED else row["progress"]
        return [ExecutionSummary(**_summary(row, counts[row["id"]], done[row["id"]])) for row in rows]

    return await database.retry(read, timeout=5)


def _pattern(search: str | None) -> str | None:
    """Return the pattern of ILIKE for texts that contain the searched text literally."""
    if search is None:
        return None
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _json_text(search: str | None) -> str | None:
    """Return a text as it is written inside a JSON string."""
    return None if search is None else json.dumps(search, ensure_ascii=False)[1:-1]


def _padded(id_prefix: str | None, digit: str) -> UUID | None:
    return None if id_prefix is None else UUID(id_prefix.replace("-", "").ljust(32, digit))


def _summary(row: Mapping[str, Any], counts: dict[JobStatus, int], done: float) -> dict[str, Any]:
    status = ExecutionStatus(row["status"])
    return {
        "execution_id": row["id"],
        "name": row["name"],
        "status": status,
        "progress": min(1.0, done / row["job_count"]),
        "job_counts": counts,
        "metadata": orjson.loads(row["metadata"]),
        "cancel_requested_at": row["cancel_requested_at"],
        "created_at": row["created_at"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "actions": execution_actions_from(status),
    }
