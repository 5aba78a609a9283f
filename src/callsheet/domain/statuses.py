"""Statuses of jobs and executions, and the allowed transitions."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Status of a job."""

    PENDING = "pending"
    """Blocked: upstream jobs or child jobs are unfinished, or a person holds it."""
    SCHEDULED = "scheduled"
    """Waits for a time: the backoff of a retry, or a later start."""
    QUEUED = "queued"
    """Ready: the next free slot runs it."""
    RUNNING = "running"
    """A worker runs it."""
    WAITING = "waiting"
    """A provider works on its task, or a person decides; no slot is held."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """An upstream job failed, so this one never ran."""


class ExecutionStatus(StrEnum):
    """Status of an execution."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Transition(StrEnum):
    """Reason of a status change of a job."""

    RELEASE = "release"
    """The last upstream job succeeded, or a person ended a hold. A job that is to start later becomes scheduled."""
    SKIP = "skip"
    """An upstream job failed, was cancelled or skipped."""
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY_LATER = "retry_later"
    """The run failed for a temporary reason, or the job may not run yet."""
    WAIT_FOR_CHILDREN = "wait_for_children"
    """The run added child jobs."""
    PROMOTE = "promote"
    """The scheduled time is reached."""
    REQUEUE = "requeue"
    """Its worker stops and returns the job to its queue."""
    RESCUE = "rescue"
    """Its worker was lost."""
    SNOOZE = "snooze"
    """The run ended early; a provider works on the task, or a person decides."""
    RESUME = "resume"
    """The provider's task ended; a worker continues the job."""
    CANCEL = "cancel"
    RETRY = "retry"
    """A person requested another run."""
    HOLD = "hold"
    """A person keeps the job from starting. A release ends it."""
    RUN_NEXT = "run_next"
    """A person wants the job to run now."""
    START_LATER = "start_later"
    """A person has set a later start."""


_S = JobStatus

TRANSITIONS: dict[tuple[JobStatus, Transition], frozenset[JobStatus]] = {
    (_S.PENDING, Transition.RELEASE): frozenset({_S.QUEUED, _S.SCHEDULED}),
    (_S.PENDING, Transition.SKIP): frozenset({_S.SKIPPED}),
    (_S.PENDING, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.SCHEDULED, Transition.PROMOTE): frozenset({_S.QUEUED}),
    (_S.SCHEDULED, Transition.RUN_NEXT): frozenset({_S.QUEUED}),
    (_S.SCHEDULED, Transition.HOLD): frozenset({_S.PENDING}),
    (_S.SCHEDULED, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.QUEUED, Transition.CLAIM): frozenset({_S.RUNNING}),
    (_S.QUEUED, Transition.HOLD): frozenset({_S.PENDING}),
    (_S.QUEUED, Transition.START_LATER): frozenset({_S.SCHEDULED}),
    (_S.QUEUED, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.RUNNING, Transition.SUCCEED): frozenset({_S.SUCCEEDED}),
    (_S.RUNNING, Transition.FAIL): frozenset({_S.FAILED}),
    (_S.RUNNING, Transition.RETRY_LATER): frozenset({_S.SCHEDULED}),
    (_S.RUNNING, Transition.WAIT_FOR_CHILDREN): frozenset({_S.PENDING}),
    (_S.RUNNING, Transition.REQUEUE): frozenset({_S.QUEUED}),
    (_S.RUNNING, Transition.RESCUE): frozenset({_S.QUEUED, _S.FAILED}),
    (_S.RUNNING, Transition.SNOOZE): frozenset({_S.WAITING}),
    (_S.RUNNING, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.WAITING, Transition.RESUME): frozenset({_S.QUEUED}),
    (_S.WAITING, Transition.SUCCEED): frozenset({_S.SUCCEEDED}),
    (_S.WAITING, Transition.FAIL): frozenset({_S.FAILED}),
    (_S.WAITING, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.FAILED, Transition.RETRY): frozenset({_S.QUEUED, _S.PENDING, _S.SCHEDULED}),
    (_S.CANCELLED, Transition.RETRY): frozenset({_S.QUEUED, _S.PENDING, _S.SCHEDULED}),
    (_S.SKIPPED, Transition.RETRY): frozenset({_S.QUEUED, _S.PENDING, _S.SCHEDULED}),
}
"""The allowed transitions: (status, reason) → possible next statuses.

The statements in db/sql make the changes; each of them checks the status in its own WHERE clause. This table is the
reference for their tests and for the documentation, and decides which actions people are offered.
"""

ENDED: frozenset[JobStatus] = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.SKIPPED})
"""Final statuses of a job."""

EXECUTION_ENDED: frozenset[ExecutionStatus] = frozenset(
    {ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
)
"""Final statuses of an execution."""

_MANUAL = (Transition.CANCEL, Transition.RETRY)


def is_allowed(before: JobStatus, after: JobStatus) -> bool:
    """Return whether some transition leads from one status to the other."""
    return any(start is before and after in ends for (start, _), ends in TRANSITIONS.items())


def actions_from(status: JobStatus) -> list[str]:
    """Return the actions that people may take on a job in this status. API, console and CLI offer exactly these."""
    return [action.value for action in _MANUAL if (status, action) in TRANSITIONS]


def execution_actions_from(status: ExecutionStatus) -> list[str]:
    """Return the actions that people may take on an execution in this status."""
    if status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
        return [Transition.RETRY.value]
    return [] if status is ExecutionStatus.SUCCEEDED else [Transition.CANCEL.value]
