"""Read what people see of one job: its runs, its submissions to providers, its files and its log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.records import Job, JobLogLine, StoredArtifact
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.engine.reads.jobs import get_job

MOST_FILES = 100
"""Artifacts on the page of a job."""
MOST_CHANGES = 500
"""Changes of status of which the runs are made."""
_MOST_SUBMISSIONS = 50
_NEWEST_LINES = 200
_SCANNED_EVENTS = 20_000
_STATUS_EVENTS = [f"job.{status.value}" for status in JobStatus]


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job, from its claim to the next change of status."""

    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    """None: it still runs."""
    outcome: JobStatus | None
    """Status of the job after the run."""
    error: Mapping[str, Any] | None
    """Code and message, if it failed."""


@dataclass(frozen=True, slots=True)
class JobSubmission:
    """What a job submitted to a provider."""

    provider: str
    model: str
    step: str
    task_id: str | None
    status: str
    """accepted, rejected, unknown or in flight; after its end: succeeded, failed, cancelled, lost or timed_out."""
    created_at: datetime
    accepted_at: datetime | None
    webhook_received_at: datetime | None
    seconds: float | None
    cost: float | None
    cost_source: str | None
    problem: str | None
    """Error of a submission that was not accepted."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A job with what belongs to it."""

    job: Job
    execution_name: str | None
    runs: list[JobRun]
    """Newest first."""
    submissions: list[JobSubmission]
    """Newest first."""
    files: list[StoredArtifact]
    file_count: int
    lines: list[JobLogLine]
    """Newest log lines, oldest first."""


async def read_job_page(database: Database, job_id: UUID, sign: SignUrl) -> JobPage:
    """Return a job with what belongs to it. Raises NotFound."""
    job = await get_job(database, job_id, sign)

    async def read(c: Connection) -> JobPage:
        changes = await sql.status_events_of_job(
            c,
            execution_id=job.execution_id,
            newest=_SCANNED_EVENTS,
            job_id=job.job_id,
            types=_STATUS_EVENTS,
            limit=MOST_CHANGES,
        )
        files = await sql.artifacts_of_jobs(c, execution_id=job.execution_id, ids=[job_id], limit=MOST_FILES)
        lines = await sql.newest_lines_of_job(c, job=job_id, limit=_NEWEST_LINES)
        submissions = await sql.newest_submissions_of_job(c, job=job_id, limit=_MOST_SUBMISSIONS)
        execution = await sql.executions_by_ids(c, ids=[job.execution_id])
        return JobPage(
            job=job,
            execution_name=execution[0]["name"] if execution else None,
            runs=list(_runs(changes[::-1]))[::-1],
            submissions=[_submission(row) for row in submissions],
            files=[stored_artifact(row, sign) for row in files],
            file_count=files[0]["of_job"] if files else 0,
            lines=[JobLogLine(**{name: row[name] for name in JobLogLine.model_fields}) for row in lines[::-1]],
        )

    return await database.retry(read, timeout=10)


def _runs(changes: list[Mapping[str, Any]]) -> Iterable[JobRun]:
    for change, following in zip(changes, [*changes, None][1:], strict=True):
        if change["type"] != "job.running":
            continue
        data = orjson.loads(change["data"])
        after = orjson.loads(following["data"]) if following and following["data"] else {}
        yield JobRun(
            attempt=data["attempt"],
            worker=data["worker"],
            started_at=change["at"],
            ended_at=following["at"] if following else None,
            outcome=JobStatus(following["type"].removeprefix("job.")) if following else None,
            error=after.get("error"),
        )


def _submission(row: Mapping[str, Any]) -> JobSubmission:
    evidence = orjson.loads(row["evidence"]) if row["evidence"] else None
    return JobSubmission(
        **{name: row[name] for name in ("provider", "model", "step", "created_at", "accepted_at")},
        **{name: row[name] for name in ("webhook_received_at", "seconds", "cost", "cost_source")},
        task_id=row["provider_job_id"],
        status=row["ended"] or row["outcome"] or "in flight",
        problem=evidence.get("message") if isinstance(evidence, dict) else None,
    )
