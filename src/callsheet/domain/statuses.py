"""The states of jobs and executions, with the one table of moves between them."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    """Upstream jobs are unfinished."""
    SCHEDULED = "scheduled"
    """Not before a time: a retry's back-off, or a later start."""
    QUEUED = "queued"
    """Ready: the next free seat takes it."""
    RUNNING = "running"
    """A worker has it."""
    WAITING = "waiting"
    """A provider works on it; no worker is held."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """An upstream job failed, so this one never ran."""


class ExecutionStatus(StrEnum):
    """Where an execution stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Transition(StrEnum):
    """What can happen to a job."""

    RELEASE = "release"
    """Its last upstream job ended well."""
    SKIP = "skip"
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY_LATER = "back_off"
    """It is put off: it failed for a passing reason, or must not run just now."""
    WAIT_FOR_CHILDREN = "defer"
    """It wants other jobs to run first."""
    PROMOTE = "promote"
    """Its time has come."""
    REQUEUE = "hand_back"
    """Its worker stops and gives it back unharmed."""
    RESCUE = "rescue"
    """Its worker is lost."""
    SNOOZE = "wait"
    RESUME = "collect"
    """The provider is done; a worker shall store the files."""
    CANCEL = "cancel"
    RETRY = "retry"
    """A person asks for another run."""


_S = JobStatus

TRANSITIONS: dict[tuple[JobStatus, Transition], frozenset[JobStatus]] = {
    (_S.PENDING, Transition.RELEASE): frozenset({_S.QUEUED}),
    (_S.PENDING, Transition.SKIP): frozenset({_S.SKIPPED}),
    (_S.PENDING, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.SCHEDULED, Transition.PROMOTE): frozenset({_S.QUEUED}),
    (_S.SCHEDULED, Transition.CANCEL): frozenset({_S.CANCELLED}),
    (_S.QUEUED, Transition.CLAIM): frozenset({_S.RUNNING}),
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
    (_S.FAILED, Transition.RETRY): frozenset({_S.QUEUED, _S.PENDING}),
    (_S.CANCELLED, Transition.RETRY): frozenset({_S.QUEUED, _S.PENDING}),
    (_S.SKIPPED, Transition.RETRY): frozenset({_S.QUEUED, _S.PENDING}),
}
"""Which move leads from which status to which. Nothing else decides what is allowed."""

ENDED: frozenset[JobStatus] = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.SKIPPED})
"""A job in one of these needs no more work."""

EXECUTION_ENDED: frozenset[ExecutionStatus] = frozenset(
    {ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
)

_BY_HAND = (Transition.CANCEL, Transition.RETRY)


def is_allowed(before: JobStatus, after: JobStatus) -> bool:
    """Tell whether some move leads from one status to the other."""
    return any(start is before and after in ends for (start, _), ends in TRANSITIONS.items())


def actions_from(status: JobStatus) -> list[str]:
    """Return what a person may do to a job in this status; every face shows these and no others."""
    return [move.value for move in _BY_HAND if (status, move) in TRANSITIONS]


def execution_actions_from(status: ExecutionStatus) -> list[str]:
    """Return what a person may do to an execution in this status."""
    if status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
        return [Transition.RETRY.value]
    return [] if status is ExecutionStatus.SUCCEEDED else [Transition.CANCEL.value]
