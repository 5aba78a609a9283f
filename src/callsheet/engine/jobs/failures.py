"""Failed runs: retry or fail the job, and the error record that is stored."""

import errno
import random
from dataclasses import dataclass
from typing import Any

from callsheet.db.outages import DATABASE_UNAVAILABLE
from callsheet.domain.error_codes import listed_job_code, listed_problem_code
from callsheet.domain.errors import CallsheetError, DiskFull, InternalError, ProblemList, Transient
from callsheet.domain.json_storage import shown_json
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.exception_texts import chained_exception, exception_message, exception_traceback
from callsheet.engine.jobs.outcomes import Outcome
from callsheet.logs import redact_secrets
from callsheet.operation_api.contract import Operation
from callsheet.queue.claim import ClaimedJob


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog)."""

    base: float
    """Seconds."""
    cap: float
    """Seconds."""

    def delay(self, failures: int) -> float:
        """Return the delay in seconds after this number of consecutive failures."""
        return random.uniform(0, min(self.cap, self.base * 2 ** min(failures - 1, 32)))  # noqa: S311 - jitter


def failure_outcome(job: ClaimedJob, operation: Operation, error: BaseException, backoff: Backoff) -> Outcome:
    """Return the outcome of a failed run: SCHEDULED for a retry of a transient error, otherwise FAILED."""
    error = _as_callsheet_error(error)
    attempt = job.attempts + 1
    is_transient = isinstance(error, (Transient, *operation.transient, *DATABASE_UNAVAILABLE))
    retry = is_transient and attempt < job.max_attempts
    delay = 0.0
    if retry:
        delay = backoff.delay(attempt)
        if isinstance(error, Transient) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
    return Outcome(
        job.id,
        job.execution_id,
        job.epoch,
        JobStatus.SCHEDULED if retry else JobStatus.FAILED,
        error=error_json(error, attempt=attempt),
        delay=delay,
    )


def error_json(error: BaseException, *, attempt: int) -> str:
    """Return the JSON text of an error, as it is stored with its job."""
    return shown_json(_error_record(error, attempt=attempt))


def unexpected_error(error: BaseException) -> InternalError:
    """Return the error of a job whose operation raised an unexpected exception, with the exception as its cause."""
    internal = InternalError(exception_message(error))
    internal.__cause__ = error
    return internal


def _error_record(error: BaseException, *, attempt: int) -> dict[str, Any]:
    if not isinstance(error, CallsheetError):
        return {
            **_codes(error),
            "message": exception_message(error),
            "attempt": attempt,
            "traceback": exception_traceback(error),
        }
    record: dict[str, Any] = {**_codes(error), "message": redact_secrets(error.message), "attempt": attempt}
    if (cause := chained_exception(error)) is not None:
        # An `InternalError` around an unexpected exception was not raised and has no frames of its own.
        record["traceback"] = exception_traceback(cause if error.__traceback__ is None else error)
    if isinstance(error, ProblemList):
        record["problems"] = [{**each.as_dict(), "code": listed_problem_code(each.code)} for each in error.problems]
    if error.facts:
        record["facts"] = error.facts
    return record


def _codes(error: BaseException) -> dict[str, str]:
    """Return the listed code of an error, and its own code if that is not listed."""
    own = getattr(error, "code", None)
    if not isinstance(own, str):
        return {"code": "failed"}
    code = listed_job_code(error, own)
    return {"code": code} if code == own else {"code": code, "customCode": own}


def _as_callsheet_error(error: BaseException) -> BaseException:
    """Map operating system errors to Callsheet errors."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull()
    return error
