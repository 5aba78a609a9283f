"""Every error that Callsheet raises on purpose.

CallsheetError
├── BadInput                     the caller can correct it
│   ├── PlanRefused              one or more problems in a plan
│   ├── BadParams                invalid params of a job, after references are resolved
│   ├── BadSource                a media source that cannot be used
│   └── DigestMismatch           an uploaded file with other contents than announced
├── NotFound
├── Conflict
│   ├── IdempotencyConflict      the same key with a different body
│   ├── InvalidState             the job or execution is in the wrong status
│   └── OffsetConflict           a part of an upload that does not start where the upload continues
├── Unauthorized
├── BudgetExceeded               a plan that would exceed a monthly budget
├── TooManyLogins                failed logins of an address or a user
├── MissingScope                 the API key or the user may not do this
├── BadWebhook                   invalid signature or timestamp of a webhook
├── TooLarge
│   └── QuotaExceeded            no room for another upload
├── RangeNotSatisfiable          a byte range beyond the end of a file
├── JobError                     why a run of a job failed
│   ├── Transient                retried, if attempts are left
│   │   ├── DiskFull
│   │   ├── StorageUnreachable
│   │   ├── SourceUnreachable
│   │   ├── DatabaseUnavailable
│   │   ├── ProviderUnreachable  no response from a provider, to a request without side effects
│   │   ├── ProviderRateLimited  a provider rejected a request for now; nothing was submitted
│   │   ├── BadOutput            a provider delivered an error page or a damaged file as an output
│   │   ├── PromptLost           a ComfyUI server no longer knows an accepted prompt
│   │   ├── StateConflict        the state that the job has read was changed before it could write
│   │   └── NoEffect             a once step failed before it could have an effect
│   ├── TimedOut
│   ├── StorageRejected          the object storage refuses access; waiting does not help
│   ├── OutcomeUnknown           a once step was started, and its outcome is unknown
│   ├── SubmissionRejected       a provider rejected a submission; nothing was created
│   ├── SubmissionUnknown        a submission was sent, and whether it was accepted is unknown
│   ├── ProviderFailed           a provider accepted a submission, and its task failed
│   ├── OutputExpired            the provider no longer has the output files
│   ├── FFmpegFailed
│   ├── TrainerFailed
│   ├── ApprovalRejected         a person, or the default at the deadline, said no
│   ├── ApprovalExpired          no person decided before the deadline
│   └── InternalError            a bug of Callsheet or of the operation
├── LeaseLost                    another worker runs the job now; this one must not write
└── ConfigurationError           invalid settings, database schema or machine setup
    └── NotConfigured            the feature is not configured in this process

`SQL_ERROR_CODES` are the codes that jobs get from SQL statements alone; no class exists for them.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, ClassVar, Self

MAX_PROBLEMS = 100
"""Problems that one error lists."""
MAX_COUNTED_PROBLEMS = 500
"""Problems that are searched for. An input with more of them is not checked to its end."""


class CallsheetError(Exception):
    """Base class of all errors. `code` is stable, `facts` are JSON values for clients and logs."""

    code: str = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.facts = facts
        super().__init__(self.message)


class BadInput(CallsheetError):
    """The request is invalid."""

    code = "bad_input"
    status = 422


class Problem:
    """One problem of an input.

    `path` names the field in the caller's notation (`jobs[2].params.width`), `code` is one of `PROBLEM_CODES` or an
    error type of pydantic, and `message` says what was given and what is allowed.
    """

    __slots__ = ("code", "message", "path")

    def __init__(self, path: str, code: str, message: str) -> None:
        self.path = path
        self.code = code
        self.message = message

    def __repr__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def below(self, path: str) -> "Problem":
        """Return the same problem of the input at `path`."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        return Problem(f"{path}{separator}{self.path}", self.code, self.message)

    def as_dict(self) -> dict[str, str]:
        """Return the JSON that clients receive."""
        return {"path": self.path, "code": self.code, "message": self.message}


class ProblemList(BadInput):
    """Several problems, reported together

    `problems` are the first `MAX_PROBLEMS`. `count` is the number of all; it is counted to `MAX_COUNTED_PROBLEMS` + 1.
    """

    def __init__(self, problems: Iterable[Problem], message: str | None = None, *, count: int | None = None) -> None:
        found = list(islice(problems, MAX_COUNTED_PROBLEMS + 1))
        self.problems = found[:MAX_PROBLEMS]
        self.count = max(len(found), count or 0)
        summary = message or (type(self).__doc__ or "").partition("\n")[0]
        if message is None or self.count > MAX_PROBLEMS:
            summary += f" ({self._counted()})"
        super().__init__(summary)

    def located(self, locate: Callable[[Problem], Problem]) -> Self:
        """Return the same error with each problem changed, for example to a path in another input."""
        return type(self)(map(locate, self.problems), count=self.count)

    def _counted(self) -> str:
        if self.count > MAX_COUNTED_PROBLEMS:
            return f"more than {MAX_COUNTED_PROBLEMS:,} problems; the first {MAX_PROBLEMS} are listed"
        count = "1 problem" if self.count == 1 else f"{self.count:,} problems"
        return f"{count}; the first {MAX_PROBLEMS} are listed" if self.count > MAX_PROBLEMS else count

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {p!r}" for p in self.problems)])


class PlanRefused(ProblemList):
    """The plan was refused; nothing was stored"""

    code = "plan_refused"


class BadParams(ProblemList):
    """The job's params are invalid for its operation"""

    code = "bad_params"


class BadSource(BadInput):
    """The media source cannot be used."""

    code = "bad_source"


class DigestMismatch(BadInput):
    """The uploaded file has another SHA-256 than announced."""

    code = "digest_mismatch"


class NotFound(CallsheetError):
    """The resource does not exist."""

    code = "not_found"
    status = 404


class Conflict(CallsheetError):
    """The request conflicts with the current state."""

    code = "conflict"
    status = 409


class IdempotencyConflict(Conflict):
    """The Idempotency-Key was used before with a different body."""

    code = "idempotency_conflict"
    status = 422


class InvalidState(Conflict):
    """The action is not allowed in the current status."""

    code = "invalid_state"


class OffsetConflict(Conflict):
    """The part does not start where the upload continues."""

    code = "offset_conflict"


class Unauthorized(CallsheetError):
    """A valid API key is required."""

    code = "unauthorized"
    status = 401


class BudgetExceeded(CallsheetError):
    """The plan would exceed a monthly budget; nothing was stored."""

    code = "budget_exceeded"
    status = 402


class TooManyLogins(CallsheetError):
    """Too many logins failed; `retry_after` is the number of seconds until the next one."""

    code = "too_many_logins"
    status = 429

    def __init__(self, message: str | None = None, *, retry_after: int = 60) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class MissingScope(CallsheetError):
    """The API key or the user has no scope for this.

    `scopes` are those of which one is needed.
    """

    code = "missing_scope"
    status = 403

    def __init__(self, message: str | None = None, *, scopes: Iterable[str] = ()) -> None:
        self.scopes = sorted(scopes)
        super().__init__(message, scopes=self.scopes)

    @classmethod
    def of(cls, scopes: Iterable[str]) -> "MissingScope":
        """Return the error for a request that needs one of these scopes."""
        needed = sorted(scopes)
        names = f"the scope `{needed[0]}`" if len(needed) == 1 else f"one of the scopes {', '.join(needed)}"
        return cls(f"This needs {names}, which the API key or the user does not have.", scopes=needed)


class BadWebhook(CallsheetError):
    """The webhook's signature or timestamp is invalid."""

    code = "bad_webhook"
    status = 401


class TooLarge(CallsheetError):
    """The request exceeds the size limit."""

    code = "too_large"
    status = 413


class QuotaExceeded(TooLarge):
    """There is no room for another upload."""

    code = "quota_exceeded"


class RangeNotSatisfiable(CallsheetError):
    """The requested range is beyond the end of the file."""

    code = "range_not_satisfiable"
    status = 416


class JobError(CallsheetError):
    """The job failed."""

    code = "job_failed"


class Transient(JobError):
    """The job failed for a temporary reason.

    `retry_after` is the minimum delay in seconds before the next attempt; None uses the retry policy's backoff.
    """

    code = "transient"

    def __init__(self, message: str | None = None, *, retry_after: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after


class DiskFull(Transient):
    """There is no space left on the disk."""

    code = "disk_full"


class StorageUnreachable(Transient):
    """The object storage cannot be used at the moment."""

    code = "storage_unreachable"


class StorageRejected(JobError):
    """The object storage rejects the request: its settings, credentials or permissions are wrong."""

    code = "storage_rejected"
    status = 503


class SourceUnreachable(Transient):
    """The media source cannot be downloaded at the moment."""

    code = "source_unreachable"


class DatabaseUnavailable(Transient):
    """The database does not respond, or rejects the connection."""

    code = "database_unavailable"
    status = 503


class ProviderUnreachable(Transient):
    """The provider did not respond."""

    code = "provider_unreachable"


class ProviderRateLimited(Transient):
    """The provider's rate limit was reached; nothing was submitted."""

    code = "provider_rate_limited"


class BadOutput(Transient):
    """The file from the provider is not the expected output; it is fetched again, and never ordered again."""

    code = "bad_output"


class PromptLost(Transient):
    """The ComfyUI server lost the prompt; it is submitted again."""

    code = "prompt_lost"


class StateConflict(Transient):
    """The state that the job has read was changed before its completion; nothing was written."""

    code = "state_conflict"


class NoEffect(Transient):
    """A once step failed before it could have an effect, so it can be repeated."""

    code = "no_effect"


class TimedOut(JobError):
    """The job exceeded its time limit."""

    code = "timed_out"


class OutcomeUnknown(JobError):
    """A once step was started and its outcome is unknown; it is never repeated automatically."""

    code = "outcome_unknown"


class SubmissionRejected(JobError):
    """The provider rejected the submission; nothing was created or charged."""

    code = "submission_rejected"


class SubmissionUnknown(JobError):
    """A submission was sent, and whether the provider accepted it is unknown; it is never sent again automatically."""

    code = "submission_unknown"


class ProviderFailed(JobError):
    """The provider accepted the submission, and its task failed.

    `code` is the reason, a stable identifier such as `content_refused`.
    """

    code = "provider_failed"

    def __init__(self, message: str | None = None, *, code: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.code = code or type(self).code


class BadAnswer(JobError):
    """The language model did not answer in the required form, also after repairs."""

    code = "bad_answer"


class OutputExpired(JobError):
    """The provider no longer has the output files."""

    code = "output_expired"


class FFmpegFailed(JobError):
    """FFmpeg failed."""

    code = "ffmpeg_failed"


class TrainerFailed(JobError):
    """A trainer ended with an error."""

    code = "trainer_failed"


class ApprovalRejected(JobError):
    """A person rejected what the job asked to approve."""

    code = "approval_rejected"


class ApprovalExpired(JobError):
    """No person decided an approval before its deadline."""

    code = "approval_expired"


class InternalError(JobError):
    """The operation failed with an unexpected error."""

    code = "internal_error"


class LeaseLost(CallsheetError):
    """Another worker runs this job now."""

    code = "lease_lost"


class ConfigurationError(CallsheetError):
    """The settings or the machine setup are invalid."""

    code = "configuration_error"


class NotConfigured(ConfigurationError):
    """The feature is not configured in this process."""

    code = "not_configured"
    status = 503


SQL_ERROR_CODES: dict[str, str] = {
    "crash_loop": "Every start of the job ended with the loss of its worker.",
}
"""Codes of failed jobs that only SQL statements write, with their meaning."""
