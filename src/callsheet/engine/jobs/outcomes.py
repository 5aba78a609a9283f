"""How a run ended, and what follows from a failure."""

import errno
import random
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from callsheet.db.database import DATABASE_UNAVAILABLE
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import (
    BadParams,
    CallsheetError,
    DiskFull,
    InternalError,
    ProblemList,
    TimedOut,
    Transient,
)
from callsheet.domain.ids import new_id
from callsheet.domain.json_storage import storable_json
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.snooze import ProviderWait
from callsheet.operation.contract import Operation
from callsheet.queue.claim import ClaimedJob

RunKey: TypeAlias = tuple[UUID, int]
"""A run: the job record and the epoch of its claim."""


@dataclass(frozen=True, slots=True)
class ChildJobRow:
    """A job that another one wants to run first, as it is stored."""

    id: UUID
    job_id: str
    operation: Operation
    priority: int
    params: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of a job ended."""

    job: UUID
    execution_id: UUID
    epoch: int
    status: JobStatus
    result: str | None = None
    error: str | None = None
    delay: float = 0
    """Seconds until the next run; for status SCHEDULED."""
    artifacts: list[Artifact] = field(default_factory=list)
    children: tuple[ChildJobRow, ...] = ()
    """Jobs to run before the next run; for status PENDING."""
    reason: str | None = None
    """Why a job is queued again."""
    wait: ProviderWait | None = None
    """What the job waits for; for status WAITING."""

    @property
    def key(self) -> RunKey:
        """The run that ended so."""
        return self.job, self.epoch


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog)."""

    base: float
    cap: float

    def delay(self, failures: int) -> float:
        """Return seconds to wait after so many failures in a row."""
        return random.uniform(0, min(self.cap, self.base * 2 ** min(failures - 1, 32)))  # noqa: S311 - jitter


def failure(job: ClaimedJob, operation: Operation, error: BaseException, back_off: Backoff) -> Outcome:
    """Decide what a failed run leads to: another run later, or the end."""
    error = _as_callsheet_error(error)
    attempt = job.attempts + 1
    passing = isinstance(error, (Transient, *operation.transient, *DATABASE_UNAVAILABLE))
    again = passing and attempt < job.max_attempts
    delay = 0.0
    if again:
        delay = back_off.delay(attempt)
        if isinstance(error, Transient) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
    return Outcome(
        job.id,
        job.execution_id,
        job.epoch,
        JobStatus.SCHEDULED if again else JobStatus.FAILED,
        error=error_json(error, attempt=attempt),
        delay=delay,
    )


def error_json(error: BaseException, *, attempt: int) -> str:
    """Return an error as JSON, as it is stored with its job."""
    return storable_json(error_record(error, attempt=attempt))


def error_record(error: BaseException, *, attempt: int) -> dict[str, Any]:
    """Return an error as it is stored with its job."""
    if not isinstance(error, CallsheetError):
        return {
            "code": getattr(error, "code", None) if isinstance(getattr(error, "code", None), str) else "failed",
            "message": f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
            "attempt": attempt,
        }
    described: dict[str, Any] = {"code": error.code, "message": error.message, "attempt": attempt}
    if isinstance(error, ProblemList):
        described["problems"] = [problem.as_dict() for problem in error.problems]
    if error.facts:
        described["facts"] = error.facts
    return described


def _as_callsheet_error(error: BaseException) -> BaseException:
    """Give well-known failures of the machine their own name."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull()
    return error


def unexpected(error: BaseException) -> InternalError:
    """Stand for an error that the operation did not foresee; the id leads to its traceback in the worker's log."""
    incident = str(new_id())
    return InternalError(
        f"The operation failed in a way it did not foresee ({type(error).__name__}). "
        f"The worker's log has the details under {incident}.",
        incident=incident,
    )


__all__ = ["Backoff", "BadParams", "Outcome", "TimedOut", "error_record", "failure", "unexpected"]
