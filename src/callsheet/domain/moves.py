"""What operators can do with single jobs, beyond cancelling and retrying them."""

from enum import StrEnum

from callsheet.domain.statuses import JobStatus


class Move(StrEnum):
    """A move of a job by a person."""

    RUN_NEXT = "run_next"
    HOLD = "hold"
    RELEASE = "release"
    CHANGE_QUEUE = "change_queue"
    PRIORITIZE = "prioritize"
    START_LATER = "start_later"


_S = JobStatus
_NOT_READY_OR_READY = frozenset({_S.PENDING, _S.QUEUED, _S.SCHEDULED})

MOVES: dict[Move, frozenset[JobStatus]] = {
    Move.RUN_NEXT: frozenset({_S.QUEUED, _S.SCHEDULED}),
    Move.HOLD: _NOT_READY_OR_READY,
    Move.RELEASE: frozenset({_S.PENDING}),
    Move.CHANGE_QUEUE: _NOT_READY_OR_READY | {_S.WAITING},
    Move.PRIORITIZE: _NOT_READY_OR_READY | {_S.WAITING},
    Move.START_LATER: _NOT_READY_OR_READY,
}
"""The statuses in which each move is possible. A held job can only be released, and an unheld one only be held."""

EFFECTS: dict[Move, str] = {
    Move.RUN_NEXT: "The job becomes the first of its queue, now: its priority rises above that of all others, and a "
    "backoff or a later start ends.",
    Move.HOLD: "The job does not start until it is released, also when its upstream jobs have ended.",
    Move.RELEASE: "The hold ends. The job starts when nothing else keeps it back.",
    Move.CHANGE_QUEUE: "The job waits in another queue; a lane of that queue runs it.",
    Move.PRIORITIZE: "The job gets another priority.",
    Move.START_LATER: "The job does not start before a time. Its backoff ends.",
}
"""What each move does."""


def moves_from(status: JobStatus, *, is_on_hold: bool) -> list[Move]:
    """Return the moves that are possible for a job in this status. API, console and CLI offer exactly these."""
    other = Move.HOLD if is_on_hold else Move.RELEASE
    return [move for move, statuses in MOVES.items() if status in statuses and move is not other]
