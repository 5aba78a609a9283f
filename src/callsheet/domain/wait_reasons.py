"""Reasons why a job waits."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from callsheet.domain.model import Model


class WaitCode(StrEnum):
    """What a job waits for; `MEANINGS` explains each code."""

    DEPENDENCIES = "dependencies"
    CHILD_JOBS = "child_jobs"
    ON_HOLD = "on_hold"
    START_TIME = "start_time"
    KEY_LIMIT = "key_limit"
    RETRY_BACKOFF = "retry_backoff"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER = "provider"
    SUBMISSION_HELD = "submission_held"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    STORAGE_OUTAGE = "storage_outage"
    SERVER = "server"
    QUEUE_PAUSED = "queue_paused"
    NO_WORKER = "no_worker"
    NO_LANE = "no_lane"
    MISSING_REQUIREMENT = "missing_requirement"
    UNKNOWN_OPERATION = "unknown_operation"
    CRASH_SUSPECT = "crash_suspect"
    QUEUE_LIMIT = "queue_limit"
    RATE_LIMIT = "rate_limit"
    NO_FREE_SLOT = "no_free_slot"
    READY = "ready"


MEANINGS: dict[WaitCode, str] = {
    WaitCode.DEPENDENCIES: "Upstream jobs have not ended.",
    WaitCode.CHILD_JOBS: "Its child jobs have not ended.",
    WaitCode.ON_HOLD: "A person holds it, until a person releases it.",
    WaitCode.START_TIME: "It is to start later.",
    WaitCode.KEY_LIMIT: "Its API key has as many executions in progress as it may have.",
    WaitCode.RETRY_BACKOFF: "A run failed for a temporary reason; the next one starts later.",
    WaitCode.PROVIDER_UNAVAILABLE: "A provider limits the rate of requests, or does not respond.",
    WaitCode.PROVIDER: "A provider works on its task.",
    WaitCode.SUBMISSION_HELD: "Its submission to a provider waits until a person releases it.",
    WaitCode.WAITING_FOR_APPROVAL: "It waits for the yes or no of a person, until its deadline.",
    WaitCode.STORAGE_OUTAGE: "Its run waits until the storage can be used again; finished files are kept.",
    WaitCode.SERVER: "Its run waits for a ComfyUI server: all are busy, drained, or do not respond.",
    WaitCode.QUEUE_PAUSED: "An operator has paused the queue.",
    WaitCode.NO_WORKER: "No worker is running.",
    WaitCode.NO_LANE: "No running worker has a lane for the queue.",
    WaitCode.MISSING_REQUIREMENT: "No worker of the queue meets a requirement of the operation.",
    WaitCode.UNKNOWN_OPERATION: "No worker of the queue has the operation.",
    WaitCode.CRASH_SUSPECT: "Its workers died while it ran. Such jobs run one at a time, and start later than others.",
    WaitCode.QUEUE_LIMIT: "The queue's limit of running jobs is reached.",
    WaitCode.RATE_LIMIT: "The queue's rate limit is reached.",
    WaitCode.NO_FREE_SLOT: "All slots of the queue are in use.",
    WaitCode.READY: "A slot is free; a worker starts the job in a moment.",
}
"""What each code means."""

_BLOCKED: frozenset[WaitCode] = frozenset(
    {
        WaitCode.ON_HOLD,
        WaitCode.SUBMISSION_HELD,
        WaitCode.QUEUE_PAUSED,
        WaitCode.NO_WORKER,
        WaitCode.NO_LANE,
        WaitCode.MISSING_REQUIREMENT,
        WaitCode.UNKNOWN_OPERATION,
    }
)


class WaitReason(Model):
    """What a job waits for."""

    code: WaitCode
    message: str = Field(examples=["No running worker has a lane for the queue 'caption'."])
    until: datetime | None = Field(None, description="When the wait ends, if that is known")
    facts: dict[str, JsonValue] = Field(
        default_factory=dict, description="Details, such as `queue`, `operation`, `workers`, `slots`, `jobs`"
    )

    @property
    def is_blocked(self) -> bool:
        """Whether the job waits until a person acts: changes a worker or the queue, or releases a submission."""
        return self.code in _BLOCKED or (self.code is WaitCode.QUEUE_LIMIT and self.facts.get("maxRunning") == 0)
