"""Reading executions, jobs, events, workers and queues as records."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import NotFound
from callsheet.domain.records import (
    Event,
    Execution,
    ExecutionSummary,
    Job,
    QueueRecord,
    StoredArtifact,
    WorkerRecord,
)
from callsheet.domain.statuses import ENDED, ExecutionStatus, JobStatus, actions_from, execution_actions_from
from callsheet.operation.catalog import Catalog

_JOB_COLUMNS = (
    *("id", "execution_id", "job_id", "operation", "queue", "priority", "progress", "progress_message"),
    *("continue_on_failure", "attempts", "max_attempts", "cancel_requested_at", "scheduled_at"),
    *("provider", "provider_job_id", "waiting_strategy", "next_poll_at", "poll_attempts", "cost", "provider_seconds"),
    *("created_at", "queued_at", "started_at", "finished_at"),
)

Sign = Callable[[Artifact], tuple[str, datetime]]
"""Gives an artifact's URL with the moment it expires."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions a list shows."""

    statuses: list[ExecutionStatus] | None = None
    search: str | None = None
    created_after: datetime | None = None


async def get_execution(database: Database, execution_id: UUID, sign: Sign) -> Execution:
    """Return an execution with its jobs and files; raises NotFound."""

    async def read(connection: Connection) -> Execution:
        row = await sql.get_execution(connection, id=execution_id)
        if row is None:
            raise NotFound(f"There is no execution {execution_id}.")
        jobs = await sql.jobs_of_executions(connection, execution_ids=[execution_id])
        upstream = await sql.dependencies_of(connection, execution_id=execution_id)
        files = await sql.artifacts_of_execution(connection, execution_id=execution_id)
        depends_on = {r["downstream"]: r["upstream"] for r in upstream}
        artifacts = {r["id"]: _artifact(r, sign) for r in files}
        views = [_job(job, depends_on.get(job["job_id"], []), artifacts) for job in jobs]
        counts: dict[JobStatus, int] = defaultdict(int)
        for job in views:
            counts[job.status] += 1
        done = sum(1.0 if job.status in ENDED else job.progress for job in views)
        return Execution(
            **_summary(row, dict(counts), done),
            callback_url=row["callback_url"],
            last_event=row["last_event"],
            jobs=views,
            artifacts=list(artifacts.values()),
        )

    # One snapshot, so that jobs, files and counts tell of the same moment.
    async with database.connection() as c, c.transaction(isolation="repeatable_read", readonly=True):
        return await read(c)


async def list_executions(
    database: Database, chosen: ExecutionFilter, *, before: UUID | None, most: int
) -> list[ExecutionSummary]:
    """Return one page of executions, newest first; `before` is the last id of the page before."""

    async def read(connection: Connection) -> list[ExecutionSummary]:
        rows = await sql.list_executions(
            connection,
            statuses=chosen.statuses,
            search=chosen.search,
            created_after=chosen.created_after,
            before=before,
            most=most,
        )
        counts: dict[UUID, dict[JobStatus, int]] = defaultdict(dict)
        done: dict[UUID, float] = defaultdict(float)
        for row in await sql.job_summaries(connection, execution_ids=[row["id"] for row in rows]):
            status = JobStatus(row["status"])
            counts[row["execution_id"]][status] = row["jobs"]
            done[row["execution_id"]] += row["jobs"] if status in ENDED else row["progress"]
        return [ExecutionSummary(**_summary(row, counts[row["id"]], done[row["id"]])) for row in rows]

    return await database.retry(read, seconds=5)


async def get_job(database: Database, job_id: UUID, sign: Sign) -> Job:
    """Return one job; raises NotFound."""

    async def read(connection: Connection) -> Job:
        row = await sql.get_job(connection, id=job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id}.")
        upstream = await sql.dependencies_of(connection, execution_id=row["execution_id"])
        depends_on = {r["downstream"]: r["upstream"] for r in upstream}
        files = await sql.artifacts_of_execution(connection, execution_id=row["execution_id"])
        return _job(row, depends_on.get(row["job_id"], []), {r["id"]: _artifact(r, sign) for r in files})

    return await database.retry(read, seconds=5)


async def get_artifact(database: Database, artifact_id: UUID, sign: Sign) -> StoredArtifact:
    """Return one artifact; raises NotFound."""
    row = await database.retry(lambda c: sql.get_artifact(c, id=artifact_id), seconds=5)
    if row is None:
        raise NotFound(f"There is no artifact {artifact_id}.")
    return _artifact(row, sign)


async def find_artifact(database: Database, artifact_id: UUID) -> Artifact:
    """Return what is known of an artifact, without a URL; raises NotFound."""
    row = await database.retry(lambda c: sql.get_artifact(c, id=artifact_id))
    if row is None:
        raise NotFound(f"There is no artifact {artifact_id}.")
    return Artifact(**_artifact_fields(row))


async def events_after(database: Database, execution_id: UUID, after: int, *, most: int = 500) -> list[Event]:
    """Return the events of an execution that follow number `after`, oldest first."""
    rows = await database.retry(
        lambda c: sql.events_after(c, execution_id=execution_id, after=after, most=most), seconds=5
    )
    return [
        Event(
            number=row["number"],
            type=row["type"],
            job_id=row["job_id"],
            data=orjson.loads(row["data"]) if row["data"] else {},
            at=row["at"],
        )
        for row in rows
    ]


async def list_workers(database: Database) -> list[WorkerRecord]:
    """Return the workers, live ones first."""
    rows = await database.retry(sql.list_workers, seconds=5)
    return [
        WorkerRecord(
            **{name: row[name] for name in ("id", "name", "host", "pid", "version", "operations", "running")},
            lanes=orjson.loads(row["lanes"]),
            started_at=row["started_at"],
            heartbeat_at=row["heartbeat_at"],
            status="lost" if row["lost_at"] else "stopping" if row["stopping"] else "working",
        )
        for row in rows
    ]


async def list_queues(database: Database, catalog: Catalog) -> list[QueueRecord]:
    """Return every queue that has an operation, a setting, a lane or a job."""
    counts = await database.retry(sql.queue_counts, seconds=5)
    settings = {row["name"]: row for row in await database.retry(sql.queue_settings, seconds=5)}
    workers = [worker for worker in await list_workers(database) if worker.status == "working"]
    by_queue: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in counts:
        by_queue[row["queue"]][row["status"]] = row
    names = {*catalog.queues(), *settings, *by_queue, *(queue for w in workers for queue in w.lanes)}
    return [
        _queue(
            name,
            by_queue[name],
            settings.get(name),
            slots=sum(worker.lanes.get(name, 0) for worker in workers),
            operations=[op.name for op in catalog.operations() if op.queue == name],
        )
        for name in sorted(names)
    ]


def _queue(
    name: str, counts: Mapping[str, Any], settings: Mapping[str, Any] | None, *, slots: int, operations: list[str]
) -> QueueRecord:
    number = {status: counts[status]["jobs"] if status in counts else 0 for status in JobStatus}
    return QueueRecord(
        name=name,
        paused=bool(settings and settings["paused_at"]),
        max_running=settings["max_running"] if settings else None,
        rate_limit=settings["rate_limit"] if settings else None,
        rate_period=settings["rate_period"] if settings else None,
        queued=number[JobStatus.QUEUED],
        running=number[JobStatus.RUNNING],
        scheduled=number[JobStatus.SCHEDULED],
        waiting=number[JobStatus.WAITING],
        oldest_queued_at=counts["queued"]["oldest"] if "queued" in counts else None,
        slots=slots,
        operations=operations,
    )


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


def _job(row: Mapping[str, Any], depends_on: list[str], artifacts: Mapping[UUID, StoredArtifact]) -> Job:
    status = JobStatus(row["status"])
    return Job(
        **{name: row[name] for name in _JOB_COLUMNS},
        status=status,
        params=orjson.loads(row["params"]),
        result=_with_urls(orjson.loads(row["result"]), artifacts) if row["result"] else None,
        error=orjson.loads(row["error"]) if row["error"] else None,
        depends_on=depends_on,
        timeout=row["timeout_seconds"],
        worker=row["worker_name"],
        provider_status=row["provider_job_status"],
        actions=[] if row["cancel_requested_at"] and status is JobStatus.RUNNING else actions_from(status),
    )


def _with_urls(value: Any, artifacts: Mapping[UUID, StoredArtifact]) -> Any:
    if isinstance(value, list):
        return [_with_urls(item, artifacts) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _with_urls(item, artifacts) for key, item in value.items()}
    if "artifactId" in value and (artifact := artifacts.get(UUID(value["artifactId"]))):
        filled["url"] = artifact.url
    return filled


def _artifact(row: Mapping[str, Any], sign: Sign) -> StoredArtifact:
    artifact = Artifact(**_artifact_fields(row))
    url, expires = sign(artifact)
    return StoredArtifact(
        **_artifact_fields(row),
        execution_id=row["execution_id"],
        job_id=row["job"],
        created_at=row["created_at"],
        url=url,
        url_expires_at=expires,
    )


def _artifact_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "artifact_id": row["id"],
        "name": row["name"],
        "key": row["key"],
        "media_type": row["media_type"],
        "size": row["size"],
        "sha256": row["sha256"],
        "probe": orjson.loads(row["probe"]) if row["probe"] else None,
    }
