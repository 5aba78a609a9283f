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


class Move(StrEnum):
    """What can happen to a job."""

    RELEASE = "release"
    """Its last upstream job ended well."""
    SKIP = "skip"
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    BACK_OFF = "back_off"
    """It is put off: it failed for a passing reason, or must not run just now."""
    DEFER = "defer"
    """It wants other jobs to run first."""
    PROMOTE = "promote"
    """Its time has come."""
    HAND_BACK = "hand_back"
    """Its worker stops and gives it back unharmed."""
    RESCUE = "rescue"
    """Its worker is lost."""
    WAIT = "wait"
    COLLECT = "collect"
    """The provider is done; a worker shall store the files."""
    CANCEL = "cancel"
    RETRY = "retry"
    """A person asks for another run."""


_S = JobStatus

MOVES: dict[tuple[JobStatus, Move], frozenset[JobStatus]] = {
    (_S.PENDING, Move.RELEASE): frozenset({_S.QUEUED}),
    (_S.PENDING, Move.SKIP): frozenset({_S.SKIPPED}),
    (_S.PENDING, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.SCHEDULED, Move.PROMOTE): frozenset({_S.QUEUED}),
    (_S.SCHEDULED, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.QUEUED, Move.CLAIM): frozenset({_S.RUNNING}),
    (_S.QUEUED, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.RUNNING, Move.SUCCEED): frozenset({_S.SUCCEEDED}),
    (_S.RUNNING, Move.FAIL): frozenset({_S.FAILED}),
    (_S.RUNNING, Move.BACK_OFF): frozenset({_S.SCHEDULED}),
    (_S.RUNNING, Move.DEFER): frozenset({_S.PENDING}),
    (_S.RUNNING, Move.HAND_BACK): frozenset({_S.QUEUED}),
    (_S.RUNNING, Move.RESCUE): frozenset({_S.QUEUED, _S.FAILED}),
    (_S.RUNNING, Move.WAIT): frozenset({_S.WAITING}),
    (_S.RUNNING, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.WAITING, Move.COLLECT): frozenset({_S.QUEUED}),
    (_S.WAITING, Move.SUCCEED): frozenset({_S.SUCCEEDED}),
    (_S.WAITING, Move.FAIL): frozenset({_S.FAILED}),
    (_S.WAITING, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.FAILED, Move.RETRY): frozenset({_S.QUEUED, _S.PENDING}),
    (_S.CANCELLED, Move.RETRY): frozenset({_S.QUEUED, _S.PENDING}),
    (_S.SKIPPED, Move.RETRY): frozenset({_S.QUEUED, _S.PENDING}),
}
"""Which move leads from which status to which. Nothing else decides what is allowed."""

ENDED: frozenset[JobStatus] = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.SKIPPED})
"""A job in one of these needs no more work."""

EXECUTION_ENDED: frozenset[ExecutionStatus] = frozenset(
    {ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
)

_BY_HAND = (Move.CANCEL, Move.RETRY)


def may_follow(before: JobStatus, after: JobStatus) -> bool:
    """Tell whether some move leads from one status to the other."""
    return any(start is before and after in ends for (start, _), ends in MOVES.items())


def actions_from(status: JobStatus) -> list[str]:
    """Return what a person may do to a job in this status; every face shows these and no others."""
    return [move.value for move in _BY_HAND if (status, move) in MOVES]


def execution_actions_from(status: ExecutionStatus) -> list[str]:
    """Return what a person may do to an execution in this status."""
    if status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
        return [Move.RETRY.value]
    return [] if status is ExecutionStatus.SUCCEEDED else [Move.CANCEL.value]
