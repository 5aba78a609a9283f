"""Reasons why a job waits."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from callsheet.domain.model import Model


class WaitCode(StrEnum):
    """What a job waits for."""

    DEPENDENCIES = "dependencies"
    """Upstream jobs have not ended."""
    CHILD_JOBS = "child_jobs"
    """Its child jobs have not ended."""
    RETRY_BACKOFF = "retry_backoff"
    """A run failed for a temporary reason; the next one starts later."""
    PROVIDER = "provider"
    """A provider works on its task."""
    STORAGE_OUTAGE = "storage_outage"
    """Its run waits until the storage can be used again; finished files are kept."""
    QUEUE_PAUSED = "queue_paused"
    """An operator has paused the queue."""
    NO_WORKER = "no_worker"
    """No worker is running."""
    NO_LANE = "no_lane"
    """No running worker has a lane for the queue."""
    MISSING_REQUIREMENT = "missing_requirement"
    """No worker of the queue meets a requirement of the operation."""
    UNKNOWN_OPERATION = "unknown_operation"
    """No worker of the queue has the operation."""
    QUEUE_LIMIT = "queue_limit"
    """The queue's limit of running jobs is reached."""
    RATE_LIMIT = "rate_limit"
    """The queue's rate limit is reached."""
    NO_FREE_SLOT = "no_free_slot"
    """All slots of the queue are in use."""
    READY = "ready"
    """A slot is free; a worker starts the job in a moment."""


BLOCKED: frozenset[WaitCode] = frozenset(
    {
        WaitCode.QUEUE_PAUSED,
        WaitCode.NO_WORKER,
        WaitCode.NO_LANE,
        WaitCode.MISSING_REQUIREMENT,
        WaitCode.UNKNOWN_OPERATION,
    }
)
"""Reasons that stay until somebody acts: starts or changes a worker, or resumes the queue."""


class WaitReason(Model):
    """What a job waits for."""

    code: WaitCode
    message: str = Field(examples=["No running worker has a lane for the queue 'caption'."])
    until: datetime | None = Field(None, description="When the wait ends, if that is known")
    facts: dict[str, JsonValue] = Field(
        default_factory=dict, description="Details, such as `queue`, `operation`, `workers`, `slots`, `jobs`"
    )
