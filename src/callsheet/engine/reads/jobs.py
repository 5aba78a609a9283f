"""Read jobs."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.moves import moves_from
from callsheet.domain.records import Job, StoredArtifact
from callsheet.domain.statuses import ENDED, JobStatus, actions_from
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.engine.reads.wait_reasons import read_fleet_of
from callsheet.engine.reads.wait_reasons import wait_reason as wait_reason_of

_COLUMNS = (
    *("id", "execution_id", "job_id", "operation", "queue", "priority", "progress", "progress_message"),
    *("continue_on_failure", "attempts", "max_attempts", "cancel_requested_at", "scheduled_at"),
    *("start_at", "on_hold_at"),
    *("provider", "provider_job_id", "waiting_strategy", "next_poll_at", "poll_attempts", "cost", "cost_source"),
    "provider_seconds",
    *("created_at", "queued_at", "started_at", "finished_at"),
)


async def get_job(database: Database, job_id: UUID, sign: SignUrl) -> Job:
    """Return a job. Raises NotFound."""

    async def read(connection: Connection) -> Job:
        row = await sql.get_job(connection, id=job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id}.")
        upstream = await sql.upstream_jobs(connection, id=job_id)
        awaited = [job["job_id"] for job in upstream if JobStatus(job["status"]) not in ENDED]
        reason = wait_reason_of(row, await read_fleet_of(connection, [row]), awaited)
        files = await sql.artifacts_by_ids(
            connection, execution_id=row["execution_id"], ids=list(_artifact_ids(_result(row)))
        )
        artifacts = {r["id"]: stored_artifact(r, sign) for r in files}
        return job_record(row, [job["job_id"] for job in upstream], artifacts, reason)

    return await database.retry(read, timeout=5)


def job_record(
    row: Mapping[str, Any],
    depends_on: list[str],
    artifacts: Mapping[UUID, StoredArtifact],
    wait_reason: WaitReason | None,
) -> Job:
    """Build a job from its row. Artifacts in its result get their signed URLs from `artifacts`."""
    status = JobStatus(row["status"])
    return Job(
        **{name: row[name] for name in _COLUMNS},
        status=status,
        params=orjson.loads(row["params"]),
        result=with_urls(_result(row), artifacts),
        error=orjson.loads(row["error"]) if row["error"] else None,
        depends_on=depends_on,
        wait_reason=wait_reason,
        timeout=row["timeout_seconds"],
        worker=row["worker_name"],
        provider_status=row["provider_job_status"],
        actions=[] if row["cancel_requested_at"] and status is JobStatus.RUNNING else actions_from(status),
        moves=moves_from(status, is_on_hold=row["on_hold_at"] is not None),
    )


def _result(row: Mapping[str, Any]) -> Any:
    return orjson.loads(row["result"]) if row["result"] else None


def _artifact_ids(value: Any) -> Iterator[UUID]:
    """Yield the ids of the artifacts in a result."""
    if isinstance(value, dict):
        if (artifact_id := _artifact_id(value)) is not None:
            yield artifact_id
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _artifact_ids(item)


def _artifact_id(value: Mapping[str, Any]) -> UUID | None:
    """Return the id of an artifact in a result; None for another object, also one with an `artifactId` of its own."""
    try:
        return UUID(value["artifactId"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def with_urls(value: Any, artifacts: Mapping[UUID, StoredArtifact]) -> Any:
    """Return a result in which each artifact has its signed URL from `artifacts`."""
    if isinstance(value, list):
        return [with_urls(item, artifacts) for item in value]
    if not isinstance(value, dict):
        return value
    signed = {key: with_urls(item, artifacts) for key, item in value.items()}
    artifact_id = _artifact_id(value)
    if artifact_id is not None and (artifact := artifacts.get(artifact_id)):
        signed["url"] = artifact.url
    return signed
