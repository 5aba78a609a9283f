"""Read jobs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.records import Job, StoredArtifact
from callsheet.domain.statuses import JobStatus, actions_from
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.engine.reads.wait_reasons import read_wait_reasons

_COLUMNS = (
    *("id", "execution_id", "job_id", "operation", "queue", "priority", "progress", "progress_message"),
    *("continue_on_failure", "attempts", "max_attempts", "cancel_requested_at", "scheduled_at"),
    *("provider", "provider_job_id", "waiting_strategy", "next_poll_at", "poll_attempts", "cost", "provider_seconds"),
    *("created_at", "queued_at", "started_at", "finished_at"),
)


async def get_job(database: Database, job_id: UUID, sign: SignUrl) -> Job:
    """Return a job. Raises NotFound."""

    async def read(connection: Connection) -> Job:
        row = await sql.get_job(connection, id=job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id}.")
        dependencies = await sql.dependencies_of(connection, execution_id=row["execution_id"])
        depends_on = {r["downstream"]: r["upstream"] for r in dependencies}
        files = await sql.artifacts_of_execution(connection, execution_id=row["execution_id"])
        reasons = await read_wait_reasons(connection, [row], {r["downstream"]: r["awaited"] for r in dependencies})
        artifacts = {r["id"]: stored_artifact(r, sign) for r in files}
        return job_record(row, depends_on.get(row["job_id"], []), artifacts, reasons.get(row["id"]))

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
        result=with_urls(orjson.loads(row["result"]), artifacts) if row["result"] else None,
        error=orjson.loads(row["error"]) if row["error"] else None,
        depends_on=depends_on,
        wait_reason=wait_reason,
        timeout=row["timeout_seconds"],
        worker=row["worker_name"],
        provider_status=row["provider_job_status"],
        actions=[] if row["cancel_requested_at"] and status is JobStatus.RUNNING else actions_from(status),
    )


def with_urls(value: Any, artifacts: Mapping[UUID, StoredArtifact]) -> Any:
    """Return a result in which each artifact has its signed URL from `artifacts`."""
    if isinstance(value, list):
        return [with_urls(item, artifacts) for item in value]
    if not isinstance(value, dict):
        return value
    signed = {key: with_urls(item, artifacts) for key, item in value.items()}
    if "artifactId" in value and (artifact := artifacts.get(UUID(value["artifactId"]))):
        signed["url"] = artifact.url
    return signed
