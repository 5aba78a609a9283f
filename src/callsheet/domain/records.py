"""API records: executions, jobs, workers, queues and operations."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from callsheet.domain.artifacts import Artifact
from callsheet.domain.costs import CostEstimate, CostSource
from callsheet.domain.error_codes import JobErrorCode, ProblemCode
from callsheet.domain.model import Model
from callsheet.domain.moves import Move
from callsheet.domain.resources import Resources
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.domain.wait_reasons import WaitReason


class StoredArtifact(Artifact):
    """An artifact with its job and a download URL."""

    execution_id: UUID
    job_id: str = Field(description="Id, in its plan, of the job that produced it", examples=["intro"])
    job_record_id: UUID = Field(description="Id of the record of that job, as `id` of a job")
    created_at: datetime
    url: str | None = Field(None, description="Signed URL; expires")
    url_expires_at: datetime | None = None
    from_unfinished_run: bool = Field(
        False,
        description="Whether the file was stored before the end of a run that has not succeeded, such as a checkpoint "
        "of a training that failed later",
    )


class JobProblem(Model):
    """One problem of an input of a job."""

    path: str = Field(description="Path of the field", examples=["width"])
    code: ProblemCode
    message: str


class ReportedError(Model):
    """Why a run of a job failed, as webhooks report it."""

    code: JobErrorCode = Field(description="Stable code", examples=["ffmpeg_failed"])
    custom_code: str | None = Field(
        None,
        description="Code of an operation that does not come with Callsheet; `code` is then the nearest listed one",
    )
    message: str
    attempt: int | None = None
    problems: list[JobProblem] | None = None
    facts: dict[str, JsonValue] | None = None


class JobErrorRecord(ReportedError):
    """Why a run of a job failed."""

    traceback: str | None = Field(
        None, description="Traceback of the exception and its causes, shortened; not in events and webhooks"
    )


class Job(Model):
    """A job of an execution."""

    id: UUID = Field(description="Id of the job record; globally unique, for the routes under `/api/jobs`")
    execution_id: UUID
    job_id: str = Field(
        description="The job's id in its plan; the child jobs of `film` are `film/part-1`, `film/part-2`, …",
        examples=["intro"],
    )
    operation: str = Field(examples=["render"])
    queue: str = Field(examples=["render"])
    status: JobStatus
    priority: int
    progress: float = Field(description="0 to 1", ge=0, le=1)
    progress_message: str | None = None
    wait_reason: WaitReason | None = Field(
        None, description="What the job waits for; null: it runs without waiting, or has ended"
    )
    params: dict[str, Any] = Field(description="As submitted, with references")
    result: Any = Field(None, description="Result of the operation; its artifacts have signed URLs")
    error: JobErrorRecord | None = Field(
        None, description="Error of the last failed run; none if the job succeeded, was cancelled or was skipped"
    )
    depends_on: list[str] = Field(default_factory=list, description="Plan ids of the upstream jobs")
    continue_on_failure: bool
    attempts: int = Field(description="Runs that failed")
    max_attempts: int
    timeout: float = Field(description="Time limit of one run, in seconds")
    worker: str | None = Field(None, description="Name of the worker that runs it, or ran it last")
    cancel_requested_at: datetime | None = Field(None, description="When its cancellation was requested")
    scheduled_at: datetime | None = Field(None, description="Status `scheduled`: it does not run earlier")
    start_at: datetime | None = Field(None, description="Earliest start, of the plan or of a person")
    on_hold_at: datetime | None = Field(None, description="Since when a person holds it; null: it is not on hold")
    provider: str | None = Field(None, description="Provider of its submission", examples=["replicate"])
    provider_job_id: str | None = Field(None, description="The provider's id of the task")
    provider_status: str | None = Field(None, description="Status of the task, in the provider's terms")
    waiting_strategy: Literal["webhook", "polling"] | None = Field(
        None, description="How the end of the task is detected; with `webhook`, polling continues at a lower rate"
    )
    next_poll_at: datetime | None = Field(None, description="Status `waiting`: time of the next poll")
    poll_attempts: int = Field(0, description="Number of polls of the task")
    cost: float | None = Field(
        None, description="Cost in US dollars, as the provider reports it, or else by the price of the model"
    )
    cost_source: CostSource | None = Field(
        None, description="`price`: at least a part of the cost was computed by a price; `provider`: all was reported"
    )
    provider_seconds: float | None = Field(None, description="Processing time in seconds, if the providers report it")
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    actions: list[Literal["cancel", "retry"]] = Field(description="Actions allowed now", examples=[["cancel"]])
    moves: list[Move] = Field(
        default_factory=list, description="What else an operator can do with it now", examples=[["hold", "run_next"]]
    )


class ListedError(Model):
    """Why a run of a listed job failed."""

    code: str
    message: str = Field(description="At most 1,000 characters")


class JobSummary(Model):
    """A job in a list, without its params and result."""

    id: UUID = Field(description="Id of the job record")
    execution_id: UUID
    job_id: str = Field(description="The job's id in its plan", examples=["intro"])
    operation: str = Field(examples=["render"])
    queue: str = Field(examples=["render"])
    status: JobStatus
    priority: int
    progress: float = Field(ge=0, le=1)
    progress_message: str | None = None
    wait_reason: WaitReason | None = None
    error: ListedError | None = Field(None, description="Error of the last failed run")
    attempts: int = Field(description="Runs that failed")
    max_attempts: int
    worker: str | None = Field(None, description="Name of the worker that runs it, or ran it last")
    provider: str | None = None
    cost: float | None = Field(None, description="US dollars")
    created_at: datetime
    queued_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    actions: list[Literal["cancel", "retry"]]
    moves: list[Move]


class ExecutionSummary(Model):
    """An execution in a list."""

    execution_id: UUID
    name: str | None = None
    status: ExecutionStatus
    progress: float = Field(description="Over all jobs, 0 to 1", ge=0, le=1)
    job_counts: dict[JobStatus, int] = Field(description="Number of jobs by status")
    metadata: dict[str, Any] = Field(default_factory=dict)
    plan_name: str | None = Field(None, description="Name of the stored plan that it was made from")
    plan_version: int | None = Field(None, description="Version of that plan; null: it comes with Callsheet")
    batch_id: UUID | None = Field(None, description="The batch that it belongs to")
    cancel_requested_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    actions: list[Literal["cancel", "retry"]] = Field(description="Actions allowed now")


class Execution(ExecutionSummary):
    """An execution with its jobs and artifacts."""

    inputs: dict[str, Any] | None = Field(
        None, description="Values of the inputs of its stored plan or batch, as given"
    )
    callback_url: str | None = None
    last_event: int = Field(description="Number of its latest event")
    jobs: list[Job]
    artifacts: list[StoredArtifact]


class AcceptedJob(Model):
    """A stored job."""

    id: UUID = Field(description="Id of the job record, globally unique")
    job_id: str = Field(description="Id of the job in its plan")
    operation: str = Field(description="Canonical name of the operation, also if the plan used an alias")
    queue: str
    status: JobStatus


class SubmissionWarning(WaitReason):
    """Why some jobs of a stored plan cannot start at the moment, or will not when they are ready."""

    jobs: list[str] = Field(description="Ids of these jobs in the plan")


class Receipt(Model):
    """A stored execution."""

    execution_id: UUID
    status: ExecutionStatus
    jobs: list[AcceptedJob]
    estimated_cost: CostEstimate = Field(
        default_factory=lambda: CostEstimate(amount=0), description="What the jobs at providers are expected to cost"
    )
    warnings: list[SubmissionWarning] = Field(
        default_factory=list,
        description="Why jobs cannot start with the workers and queues as they are now. The plan is stored all the "
        "same: the jobs start when a worker can run them",
    )


class PlanCheck(Model):
    """Whether a plan can be submitted, and what must be corrected."""

    valid: bool
    jobs: int | None = Field(description="Number of jobs; null: the plan has problems")
    estimated_cost: CostEstimate | None = Field(
        None, description="What the jobs at providers are expected to cost; null: the plan has problems"
    )
    problems: list[JobProblem] = Field(description="The problems, at most 100")
    count: int = Field(description="Number of all problems")


class JobLogLine(Model):
    """One line that a job has printed or logged."""

    job_id: str = Field(description="The job's id in its plan", examples=["intro"])
    attempt: int = Field(description="Number of the attempt, from 1")
    at: datetime = Field(description="By the clock of the worker")
    level: str = Field(description="`debug`, `info`, `warning`, `error` or `critical`")
    logger: str = Field(description="Name of the logger; `stdout` or `stderr` for printed lines")
    message: str


class WorkerRecord(Model):
    """A worker process."""

    id: UUID
    name: str
    host: str
    pid: int
    version: str
    lanes: dict[str, int] = Field(description="Queue → number of slots")
    configured_lanes: dict[str, int] = Field(default_factory=dict, description="The same without what was set by hand")
    operations: list[str] = Field(description="Operations whose needs the worker meets")
    only_reserved: bool = Field(
        False, description="It runs only jobs that are reserved for it, as the worker of `callsheet run` does"
    )
    running: int = Field(description="Jobs running now")
    started_at: datetime
    heartbeat_at: datetime
    status: Literal["working", "stopping", "lost"]
    resources: Resources | None = Field(
        None, description="The newest measurement of its machine; null: a polled worker, or none yet"
    )


class IntakeRecord(Model):
    """A process that takes messages from another queue."""

    id: UUID
    name: str = Field(examples=["bullmq"])
    sources: list[str] = Field(description="Queues or streams that it serves", examples=[["video-generation"]])
    status: Literal["working", "lost"] = Field(description="`lost`: without a heartbeat")
    host: str
    pid: int
    open: int = Field(description="Messages whose end was not reported yet")
    oldest_open_at: datetime | None = Field(None, description="When the oldest open message was received")
    backlog: int | None = Field(None, description="Messages that wait in the source; null: unknown")
    accepted: int = Field(description="Messages that became executions, since the start of the process")
    closed: int = Field(description="Messages whose end was reported")
    rejected: int = Field(description="Invalid messages")
    last_error: str | None = None
    last_error_at: datetime | None = None
    started_at: datetime
    heartbeat_at: datetime


class QueueRecord(Model):
    """A queue with its limits and job counts."""

    name: str
    paused: bool
    max_running: int | None = Field(None, description="Limit of running jobs over all workers")
    rate_limit: int | None = Field(None, description="Starts per period, over all workers")
    rate_period: float | None = Field(None, description="Seconds")
    queued: int
    running: int
    scheduled: int
    waiting: int
    on_hold: int = Field(0, description="Jobs that a person holds")
    oldest_queued_at: datetime | None = None
    slots: int = Field(description="Slots of all live workers, without workers of single executions")
    workers: int = Field(0, description="Number of these workers that have a slot for the queue")
    started_per_minute: float = Field(0, description="Jobs that started, in the last 5 minutes")
    ended_per_minute: float = Field(
        0, description="Jobs that succeeded, failed or were cancelled, in the last 5 minutes"
    )
    duration_p50: float | None = Field(
        None,
        description="Median duration in seconds of the runs that succeeded or failed in the last hour, by a histogram; "
        "null: there was none",
    )
    duration_p95: float | None = Field(None, description="The same for 95 % of the runs")
    operations: list[str] = Field(description="Operations whose jobs use this queue")


class OperationRecord(Model):
    """An operation in the manifest."""

    name: str
    aliases: list[str]
    summary: str
    queue: str
    priority: int
    timeout: float = Field(description="Seconds")
    attempts: int
    on_worker_lost: Literal["retry", "resume", "park"]
    needs: list[str]
    params_schema: dict[str, Any] = Field(description="JSON Schema of the params")
    result_schema: dict[str, Any] = Field(description="JSON Schema of the result")
