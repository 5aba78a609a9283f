"""What is shown of executions, jobs, events, workers and queues; the shapes of the API."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus, JobStatus


class StoredArtifact(Artifact):
    """An artifact with where it came from and, for a while, how to get it."""

    execution_id: UUID
    job_id: UUID = Field(description="Of the job record that made it")
    created_at: datetime
    url: str | None = Field(None, description="Signed; expires")
    url_expires_at: datetime | None = None


class JobErrorRecord(Model):
    """Why a run of a job failed."""

    code: str = Field(examples=["ffmpeg_failed"])
    message: str
    attempt: int | None = None
    problems: list[dict[str, str]] | None = Field(None, description="Each with path, code and message")
    facts: dict[str, JsonValue] | None = None


class Job(Model):
    """A job as recorded."""

    id: UUID = Field(description="Of the job record; unique everywhere")
    execution_id: UUID
    job_id: str = Field(
        description="The job's id in its plan; `cut/piece-1` is one that the job `cut` wanted to run first",
        examples=["intro"],
    )
    operation: str = Field(examples=["render"])
    queue: str = Field(examples=["render"])
    status: JobStatus
    priority: int
    progress: float = Field(description="0 to 1", ge=0, le=1)
    progress_message: str | None = None
    params: dict[str, Any] = Field(description="As submitted, references included")
    result: Any = Field(None, description="What the operation returned; artifacts in it carry signed URLs")
    error: JobErrorRecord | None = Field(None, description="Of the last run that failed")
    depends_on: list[str] = Field(default_factory=list, description="Ids in the plan of the jobs it waits for")
    continue_on_failure: bool
    attempts: int = Field(description="Runs that ended in a failure")
    max_attempts: int
    timeout: float = Field(description="Time limit of one run, seconds")
    worker: str | None = Field(None, description="Name of the worker that has, or had, it")
    cancel_requested_at: datetime | None = Field(None, description="It is being stopped since then")
    scheduled_at: datetime | None = Field(None, description="Scheduled: not before this")
    provider: str | None = Field(None, description="Who works, or worked, on what it ordered", examples=["replicate"])
    provider_job_id: str | None = Field(None, description="By which the provider knows the task")
    provider_status: str | None = Field(None, description="How the task stands, by the provider's own word")
    waiting_strategy: Literal["webhook", "polling"] | None = Field(
        None, description="How the end of the task is learned of; with `webhook` it is asked for as well, less often"
    )
    next_poll_at: datetime | None = Field(None, description="Waiting: when the provider is asked next")
    poll_attempts: int = Field(0, description="How often the provider was asked about the task")
    cost: float | None = Field(None, description="US dollars that providers took for it, as far as they tell")
    provider_seconds: float | None = Field(None, description="That providers worked for it, as far as they tell")
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    actions: list[str] = Field(description="What may be done to it now", examples=[["cancel"]])


class ExecutionSummary(Model):
    """An execution as a list shows it."""

    execution_id: UUID
    name: str | None = None
    status: ExecutionStatus
    progress: float = Field(description="Over all jobs, 0 to 1", ge=0, le=1)
    job_counts: dict[JobStatus, int] = Field(description="How many jobs stand where")
    metadata: dict[str, Any] = Field(default_factory=dict)
    cancel_requested_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    actions: list[str] = Field(description="What may be done to it now")


class Execution(ExecutionSummary):
    """An execution with its jobs and files."""

    callback_url: str | None = None
    last_event: int = Field(description="Number of its newest event")
    jobs: list[Job]
    artifacts: list[StoredArtifact]


class Event(Model):
    """Something that happened, numbered per execution without gaps."""

    number: int
    type: str = Field(examples=["job.progress"])
    job_id: str | None = Field(None, description="The job's id in its plan; none: the execution itself")
    data: dict[str, Any] = Field(default_factory=dict)
    at: datetime


class WorkerRecord(Model):
    """A worker process."""

    id: UUID
    name: str
    host: str
    pid: int
    version: str
    lanes: dict[str, int] = Field(description="Queue → how many of its jobs at once")
    operations: list[str] = Field(description="Those whose needs it meets")
    running: int = Field(description="Jobs that it runs now")
    started_at: datetime
    heartbeat_at: datetime
    status: str = Field(description="`working`, `stopping` or `lost`")


class QueueRecord(Model):
    """A queue with what waits in it."""

    name: str
    paused: bool
    max_running: int | None = Field(None, description="Over the whole fleet")
    rate_limit: int | None = Field(None, description="Starts in a period, over the whole fleet")
    rate_period: float | None = Field(None, description="Seconds")
    queued: int
    running: int
    scheduled: int
    waiting: int
    oldest_queued_at: datetime | None = None
    slots: int = Field(description="Over all live workers")
    operations: list[str] = Field(description="Operations whose jobs wait here")


class OperationRecord(Model):
    """An operation in the manifest."""

    name: str
    aliases: list[str]
    summary: str
    queue: str
    priority: int
    timeout: float = Field(description="Seconds")
    attempts: int
    on_worker_lost: str
    needs: list[str]
    params_schema: dict[str, Any] = Field(description="JSON Schema of what it takes")
    result_schema: dict[str, Any] = Field(description="JSON Schema of what it returns")
