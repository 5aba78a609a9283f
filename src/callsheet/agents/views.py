"""What an agent reads about executions: the records of the API, cut to a size that a conversation can hold."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import Field, JsonValue

from callsheet.agents.texts import outside_text
from callsheet.domain.model import Model
from callsheet.domain.records import Execution, Job, JobErrorRecord, JobProblem, Receipt, StoredArtifact
from callsheet.domain.statuses import ExecutionStatus, JobStatus

_MAX_JOBS = 50
_MAX_FILES = 100
_MAX_WARNINGS = 20
_MAX_RESULT_CHARACTERS = 4_000
_MAX_ALL_RESULTS = 20_000
_FIRST = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.RUNNING, JobStatus.WAITING)
"""Statuses of jobs that are listed before the others."""


class SubmittedView(Model):
    """A stored plan."""

    execution_id: UUID
    status: ExecutionStatus
    jobs: int = Field(description="Number of jobs")
    warnings: list[str] = Field(description="Why jobs cannot start at the moment")


class ErrorView(Model):
    """Why a run of a job failed. The message can contain text from files, programs and providers."""

    code: str
    message: str | None
    problems: list[JobProblem] = Field(description="Invalid fields")


class JobView(Model):
    """A job of an execution."""

    job_id: str
    operation: str
    status: JobStatus
    progress: float
    waits_for: str | None = Field(description="Why the job does not run yet")
    error: ErrorView | None = Field(description="Error of the last failed run")


class ExecutionView(Model):
    """An execution and its jobs."""

    execution_id: UUID
    name: str | None
    status: ExecutionStatus
    ended: bool = Field(description="Whether the status is final")
    progress: float
    job_counts: dict[JobStatus, int]
    jobs: list[JobView] = Field(description="At most 50, unsuccessful and running ones first")
    jobs_left_out: int
    actions: list[str] = Field(description="What is allowed now: cancel, retry")
    created_at: datetime
    finished_at: datetime | None


class FileView(Model):
    """A file that a job produced."""

    artifact_id: UUID
    job_id: str
    name: str
    media_type: str
    size: int = Field(description="Bytes")
    width: int | None
    height: int | None
    duration: float | None = Field(description="Seconds")
    url: str | None = Field(description="Link for a download, without a key, until it expires")
    url_expires_at: datetime | None


class ResultsView(Model):
    """Files and results of an execution."""

    execution_id: UUID
    status: ExecutionStatus
    files: list[FileView] = Field(description="At most 100")
    files_left_out: int
    results: dict[str, JsonValue] = Field(description="Results of succeeded jobs, by job id")
    results_left_out: list[str] = Field(description="Jobs whose results are too long")


class ListedExecution(Model):
    """An execution in a list."""

    execution_id: UUID
    name: str | None
    status: ExecutionStatus
    progress: float
    created_at: datetime


class ExecutionList(Model):
    """Executions, newest first."""

    executions: list[ListedExecution]
    more: bool = Field(description="Whether there are older ones")


class LogLine(Model):
    """A line that a job has printed or logged."""

    job_id: str
    level: str
    message: str


class LogView(Model):
    """Log lines of jobs, oldest first."""

    lines: list[LogLine]
    more: bool = Field(description="Whether there can be more lines")


def listed_view(page: Mapping[str, Any]) -> ExecutionList:
    """Return what an agent reads about a page of executions."""
    found = [ListedExecution.model_validate(each, extra="ignore") for each in page["executions"]]
    return ExecutionList(executions=found, more=page["nextCursor"] is not None)


def submitted_view(receipt: Receipt) -> SubmittedView:
    """Return what an agent reads about a stored plan."""
    return SubmittedView(
        execution_id=receipt.execution_id,
        status=receipt.status,
        jobs=len(receipt.jobs),
        warnings=[f"{', '.join(each.jobs[:5])}: {each.message}" for each in receipt.warnings[:_MAX_WARNINGS]],
    )


def execution_view(execution: Execution) -> ExecutionView:
    """Return what an agent reads about an execution."""
    jobs = sorted(execution.jobs, key=lambda job: job.status not in _FIRST)
    return ExecutionView(
        execution_id=execution.execution_id,
        name=execution.name,
        status=execution.status,
        ended=execution.finished_at is not None,
        progress=execution.progress,
        job_counts=execution.job_counts,
        jobs=[_job_view(job) for job in jobs[:_MAX_JOBS]],
        jobs_left_out=max(0, len(jobs) - _MAX_JOBS),
        actions=list(execution.actions),
        created_at=execution.created_at,
        finished_at=execution.finished_at,
    )


def _job_view(job: Job) -> JobView:
    return JobView(
        job_id=job.job_id,
        operation=job.operation,
        status=job.status,
        progress=job.progress,
        waits_for=outside_text(job.wait_reason.message) if job.wait_reason else None,
        error=_error_view(job.error) if job.error else None,
    )


def _error_view(error: JobErrorRecord) -> ErrorView:
    return ErrorView(
        code=error.custom_code or error.code,
        message=outside_text(error.message),
        problems=(error.problems or [])[:_MAX_WARNINGS],
    )


def results_view(execution: Execution, job_id: str | None) -> ResultsView:
    """Return the files and results of an execution, or those of one job and its child jobs."""
    files = [each for each in execution.artifacts if _belongs(each.job_id, job_id)]
    results, left_out = _bounded_results([job for job in execution.jobs if _belongs(job.job_id, job_id)])
    return ResultsView(
        execution_id=execution.execution_id,
        status=execution.status,
        files=[_file_view(each) for each in files[:_MAX_FILES]],
        files_left_out=max(0, len(files) - _MAX_FILES),
        results=results,
        results_left_out=left_out,
    )


def _belongs(found: str, wanted: str | None) -> bool:
    return wanted is None or found == wanted or found.startswith(f"{wanted}/")


def _bounded_results(jobs: list[Job]) -> tuple[dict[str, Any], list[str]]:
    results: dict[str, Any] = {}
    left_out: list[str] = []
    room = _MAX_ALL_RESULTS
    for job in jobs:
        if job.status is not JobStatus.SUCCEEDED:
            continue
        size = len(orjson.dumps(job.result))
        if size > min(room, _MAX_RESULT_CHARACTERS):
            left_out.append(job.job_id)
        else:
            results[job.job_id] = job.result
            room -= size
    return results, left_out[:_MAX_JOBS]


def _file_view(artifact: StoredArtifact) -> FileView:
    probe = artifact.probe
    return FileView(
        artifact_id=artifact.artifact_id,
        job_id=artifact.job_id,
        name=artifact.name,
        media_type=artifact.media_type,
        size=artifact.size,
        width=probe.width if probe else None,
        height=probe.height if probe else None,
        duration=probe.duration if probe else None,
        url=artifact.url,
        url_expires_at=artifact.url_expires_at,
    )
