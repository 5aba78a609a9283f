"""Workers: lanes, heartbeat, maintenance intervals and retries."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from callsheet.domain.durations import Duration
from callsheet.domain.queues import canonical_queue
from callsheet.domain.sizes import Size
from callsheet.settings.lanes import DEFAULT_LANES, parse_lanes


class WorkerSettings(BaseModel):
    """Workers, and how they retry jobs."""

    worker_name: str = Field(
        "%h-%p",
        description="Name of a worker; `%h` is the host, `%p` the process id of `callsheet worker` or `callsheet up`",
    )
    lanes: Annotated[dict[str, int], NoDecode] = Field(
        default_factory=lambda: dict(DEFAULT_LANES),
        description="Number of jobs of each queue that a worker runs at once: `render=2,preview=4`",
    )
    worker_max_jobs: int | None = Field(
        None,
        ge=1,
        description="Number of jobs after which a worker process is replaced by a new one, without an interruption of "
        "any job; unset: never",
    )
    worker_max_memory: Size | None = Field(
        None,
        ge=1,
        description="Resident memory above which a worker process is replaced in the same way, such as `4GB`. Its "
        "child processes do not count: they end with their jobs",
    )
    heartbeat_interval: Duration = Field(timedelta(seconds=3), description="Time between two heartbeats of a worker")
    polled_worker_lease: Duration = Field(
        timedelta(minutes=30),
        ge=timedelta(seconds=1),
        description="Time after which the job of a polled worker (`GET /api/worker/task`) is requeued, if it neither "
        "sent a result nor renewed its lease. After a renewal, the lease is one minute",
    )
    worker_timeout: Duration = Field(
        timedelta(seconds=12),
        description="A worker without a heartbeat for this time is lost, and its jobs are rescued; at least twice "
        "the heartbeat interval",
    )
    rescue_interval: Duration = Field(
        timedelta(seconds=2), description="Time between two searches for lost workers and their jobs"
    )
    poll_interval: Duration = Field(
        timedelta(seconds=5),
        description="Time between two searches for queued jobs; a worker is normally notified of them at once",
    )
    schedule_interval: Duration = Field(
        timedelta(seconds=0.5), description="Time between two searches for scheduled jobs that are due"
    )
    blocked_interval: Duration = Field(
        timedelta(seconds=5),
        description="Time that a job is ready, but cannot start, before the event `job.blocked` says why; also the "
        "time between two searches for such jobs",
    )
    grace_period: Duration = Field(
        timedelta(seconds=20),
        description="Time that a stopping worker lets its jobs run; after it, they are returned to their queues",
    )
    crash_limit: int = Field(
        3, ge=1, description="Number of lost workers in which a job was running, before the job fails as `crash_loop`"
    )
    retry_base: Duration = Field(
        timedelta(seconds=5),
        description="Backoff after a transient failure: a random time up to this, doubled with every attempt",
    )
    retry_cap: Duration = Field(timedelta(minutes=10), description="Maximum backoff")

    @field_validator("lanes", mode="before")
    @classmethod
    def _parse_lanes(cls, value: Any) -> Any:
        if isinstance(value, str):
            return parse_lanes(value)
        return {canonical_queue(queue): slots for queue, slots in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _check_worker_timeout(self) -> "WorkerSettings":
        if self.worker_timeout < 2 * self.heartbeat_interval:
            raise ValueError("WORKER_TIMEOUT must be at least twice HEARTBEAT_INTERVAL, or live workers look lost")
        return self
