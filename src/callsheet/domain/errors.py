"""Every error that Callsheet raises on purpose.

CallsheetError
├── BadInput                     the caller can mend it
│   ├── PlanRefused              one or many problems in a plan
│   ├── BadParams                a job's parameters, once references are filled in
│   └── BadSource                a media source that cannot be used
├── NotFound
├── Conflict
│   ├── IdempotencyConflict      the same key with a different body
│   └── InvalidState            the job or execution is in the wrong status
├── Unauthorized
├── BadWebhook                   a call that is not, or not any more, from whom it says
├── TooLarge
├── RangeNotSatisfiable          a part of a file behind its end
├── JobError                     why a run of a job ended without a result
│   ├── Transient                tried again, if attempts are left
│   │   ├── DiskFull
│   │   ├── StorageUnreachable
│   │   ├── SourceUnreachable
│   │   ├── DatabaseUnavailable
│   │   ├── ProviderUnreachable  a provider gave no answer to a question
│   │   ├── ProviderRateLimited         a provider asks to come back later; nothing was ordered
│   │   ├── PromptLost           a ComfyUI server forgot what it had taken
│   │   └── NoEffect             of a once-only step
│   ├── TimedOut
│   ├── CrashLoop                every start of the job ended with its worker
│   ├── WorkerLost
│   ├── OutcomeUnknown           a once-only step began and nobody knows how it ended
│   ├── Refused                  a provider certainly did not take an order
│   ├── SubmissionUnknown        an order was sent, and whether it was taken is not known
│   ├── ProviderFailed           a provider took an order and failed at it
│   ├── OutputExpired               a provider does not have the files any more
│   ├── FFmpegFailed              FFmpeg refused or made something wrong
│   └── InternalError            a fault of ours, or of the operation
├── LeaseLost                another worker has the job; nothing may be written
└── ConfigurationError                   settings, database or machine are not fit to start
    ├── DatabaseUnreachable
    └── NotConfigured             what the call is for is not set up in this process
"""

from typing import Any, ClassVar


class CallsheetError(Exception):
    """Something went wrong."""

    code: str = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.facts = facts
        super().__init__(self.message)


class BadInput(CallsheetError):
    """The request cannot be used as it is."""

    code = "bad_input"
    status = 422


class Problem:
    """One thing that is wrong with an input: where it is, what came, what is allowed.

    `path` names the field in the reader's own notation (`jobs[2].params.width`), `code` is stable.
    """

    __slots__ = ("code", "message", "path")

    def __init__(self, path: str, code: str, message: str) -> None:
        self.path = path
        self.code = code
        self.message = message

    def __repr__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def as_dict(self) -> dict[str, str]:
        """Return the problem as it is sent to clients."""
        return {"path": self.path, "code": self.code, "message": self.message}


class ProblemList(BadInput):
    """Several problems, told together."""

    def __init__(self, problems: list[Problem], message: str | None = None) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(message or f"{type(self).__doc__} ({count})")

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {p!r}" for p in self.problems)])


class PlanRefused(ProblemList):
    """The plan was refused; nothing was stored"""

    code = "plan_refused"


class BadParams(ProblemList):
    """The job's parameters do not fit its operation"""

    code = "bad_params"


class BadSource(BadInput):
    """The media source cannot be used."""

    code = "bad_source"


class NotFound(CallsheetError):
    """There is no such thing."""

    code = "not_found"
    status = 404


class Conflict(CallsheetError):
    """The request does not fit the present state."""

    code = "conflict"
    status = 409


class IdempotencyConflict(Conflict):
    """This Idempotency-Key was used before, with a different body."""

    code = "idempotency_conflict"
    status = 422


class InvalidState(Conflict):
    """That is not allowed in the present status."""

    code = "invalid_state"


class Unauthorized(CallsheetError):
    """A valid API key is needed."""

    code = "unauthorized"
    status = 401


class BadWebhook(CallsheetError):
    """The call is not, or not any more, from whom it says it is."""

    code = "bad_webhook"
    status = 401


class TooLarge(CallsheetError):
    """The request is larger than this server accepts."""

    code = "too_large"
    status = 413


class RangeNotSatisfiable(CallsheetError):
    """The file has no such part."""

    code = "range_not_satisfiable"
    status = 416


class JobError(CallsheetError):
    """The job failed."""

    code = "job_failed"


class Transient(JobError):
    """The job failed for a reason that may pass.

    `after` is the least number of seconds to wait before the next attempt; None leaves it to the back-off.
    """

    code = "transient"

    def __init__(self, message: str | None = None, *, retry_after: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after


class DiskFull(Transient):
    """There is no space left on the device."""

    code = "disk_full"


class StorageUnreachable(Transient):
    """The object storage did not take or give the file."""

    code = "storage_unreachable"


class SourceUnreachable(Transient):
    """The media source did not answer."""

    code = "source_unreachable"


class DatabaseUnavailable(Transient):
    """The database does not answer at the moment."""

    code = "database_unavailable"
    status = 503


class ProviderUnreachable(Transient):
    """The provider did not answer."""

    code = "provider_unreachable"


class ProviderRateLimited(Transient):
    """The provider asks us to come back later; nothing was ordered."""

    code = "provider_rate_limited"


class PromptLost(Transient):
    """The ComfyUI server does not know the prompt any more; it is sent anew."""

    code = "prompt_lost"


class NoEffect(Transient):
    """A once-only step failed before it could have any effect, so it may be done again."""

    code = "no_effect"


class TimedOut(JobError):
    """The job ran longer than its time limit."""

    code = "timed_out"


class CrashLoop(JobError):
    """Every start of this job ended with the death of its worker."""

    code = "crash_loop"


class WorkerLost(JobError):
    """The job's worker was lost."""

    code = "worker_lost"


class OutcomeUnknown(JobError):
    """A once-only step was begun, and whether it took effect is not known; it is never repeated blindly."""

    code = "outcome_unknown"


class SubmissionRejected(JobError):
    """The provider did not take the order, so nothing was made or paid."""

    code = "submission_rejected"


class SubmissionUnknown(JobError):
    """The order was sent, and whether the provider took it is not known; it is never sent again by itself."""

    code = "submission_unknown"


class ProviderFailed(JobError):
    """The provider took the order and failed at it.

    `code` is why, in a stable word such as `content_refused`.
    """

    code = "provider_failed"

    def __init__(self, message: str | None = None, *, code: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.code = code or type(self).code


class OutputExpired(JobError):
    """The provider does not have the files any more."""

    code = "output_expired"


class FFmpegFailed(JobError):
    """FFmpeg could not do its work."""

    code = "ffmpeg_failed"


class InternalError(JobError):
    """The operation failed in a way it did not foresee."""

    code = "internal_error"


class LeaseLost(CallsheetError):
    """Another worker has this job now."""

    code = "lease_lost"


class ConfigurationError(CallsheetError):
    """Callsheet cannot start like this."""

    code = "configuration_error"


class DatabaseUnreachable(ConfigurationError):
    """The database does not answer, or does not let us in."""

    code = "database_unreachable"
    status = 503


class NotConfigured(ConfigurationError):
    """What the call is for is not set up in this process."""

    code = "not_configured"
    status = 503
