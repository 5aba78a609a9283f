"""The contract of an intake: what a module must implement to connect a queue to Callsheet."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeAlias
from uuid import UUID

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import OutcomeUnknown, Problem, SubmissionUnknown
from callsheet.domain.events import Event
from callsheet.domain.records import Execution, Job, StoredArtifact
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.engine.intake_messages import MessageKey, OpenMessage
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings

__all__ = [
    "Claimed",
    "Delivery",
    "Intake",
    "IntakeContext",
    "MessageKey",
    "NothingToRun",
    "OpenMessage",
    "Outcome",
    "PublishedFile",
    "Rejection",
    "SourceUnavailable",
    "Update",
]


_UNKNOWN_OUTCOMES = {OutcomeUnknown.code, SubmissionUnknown.code}


class SourceUnavailable(Exception):
    """The source does not respond, or refuses for now. The call is repeated until it succeeds."""


class NothingToRun(Exception):
    """A message that needs no execution. The intake answers it itself."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it was taken from the source.

    The source must not give it to anybody else while the claim is kept alive.
    """

    key: MessageKey
    body: Any
    """What the mapping turns into a plan."""
    claim: dict[str, Any] = field(default_factory=dict)
    """What is needed to report to the source and to release the claim, in any process. JSON values."""
    product_id: str = ""
    """Id of the job in the product that sent the message; empty: the id of the message."""


Claimed: TypeAlias = Delivery | OpenMessage
"""Both have `key` and `claim`."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message cannot become an execution."""

    message: str
    problems: Sequence[Problem] = ()
    """All problems of the message."""
    permanent: bool = True
    """False: the fault is not in the message, and a later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Update:
    """What happened to an execution since the last report."""

    events: Sequence[Event]
    """In order, without gaps."""
    progress: float
    """Of the whole execution, 0 to 1."""
    text: str | None
    """The newest progress message of a job."""
    started: bool
    """The execution has started to run."""
    execution: Execution | None = None
    """The execution with its jobs and artifacts, if it has ended: this is the last report before `finish`."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A stored file under a key of its own."""

    key: str
    url: str
    """Signed URL."""
    expires_at: datetime
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an execution."""

    execution: Execution
    published: Sequence[PublishedFile] = ()
    """The files that the plan asked to publish."""
    publish_error: str | None = None
    """Why they could not be published, for good."""

    @property
    def succeeded(self) -> bool:
        """Whether it succeeded, and its files were published."""
        return self.execution.status == ExecutionStatus.SUCCEEDED and self.publish_error is None

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.execution.status == ExecutionStatus.CANCELLED

    @property
    def results(self) -> Mapping[str, Any]:
        """The results of the succeeded jobs by job id. Artifacts in them have signed URLs."""
        return {job.job_id: job.result for job in self.execution.jobs if job.status == JobStatus.SUCCEEDED}

    @property
    def artifacts(self) -> Sequence[StoredArtifact]:
        """All stored files, with signed URLs."""
        return self.execution.artifacts

    @property
    def failed_jobs(self) -> Sequence[Job]:
        """The jobs that made the execution fail."""
        return [job for job in self.execution.jobs if job.status == JobStatus.FAILED]

    @property
    def is_retry_safe(self) -> bool:
        """Whether another attempt is useful and cannot pay twice. It could after an order with an unknown outcome."""
        if self.publish_error is not None:
            return False
        return not any(job.error is not None and job.error.code in _UNKNOWN_OUTCOMES for job in self.failed_jobs)

    @property
    def error(self) -> str:
        """Why the execution did not succeed: the first failed job with the code and text of its error."""
        if self.publish_error is not None:
            return self.publish_error
        for job in self.failed_jobs:
            if job.error is not None:
                return f"{job.error.custom_code or job.error.code}: {job.error.message} (job {job.job_id})"
        return "cancelled" if self.cancelled else str(self.execution.status)


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Return the result of an execution: `url` and `key` of the published file, and all artifacts.

    It begins with the result of the job that `metadata.resultOf` names.
    """
    named = outcome.results.get(str(outcome.execution.metadata.get("resultOf")))
    result: dict[str, Any] = dict(named) if isinstance(named, dict) else {}
    result |= {"executionId": str(outcome.execution.execution_id), "status": "succeeded"}
    for first in outcome.published[:1]:
        result |= {"url": first.url, "key": first.key, "expiresAt": first.expires_at.isoformat()}
    result["artifacts"] = [
        {
            "name": artifact.name,
            "jobId": artifact.job_id,
            "url": artifact.url,
            "key": artifact.key,
            "mediaType": artifact.media_type,
            "size": artifact.size,
            "sha256": artifact.sha256,
        }
        for artifact in outcome.artifacts
    ]
    return result


class IntakeContext(Protocol):
    """What Callsheet offers to an intake."""

    @property
    def settings(self) -> Settings:
        """The settings of this installation."""

    @property
    def owner(self) -> UUID:
        """Id of this intake process."""

    @property
    def catalog(self) -> Catalog:
        """The known operations."""

    @property
    def room(self) -> int:
        """Number of messages that can be handed on now without a wait, at least 1: take no more together."""

    async def execution(self, execution_id: UUID, *, jobs: int = 1) -> Execution:
        """Return an execution with its jobs and artifacts. `jobs` is roughly the number of its jobs.

        Executions that are requested together are read together, if they are small.
        """

    async def attempt(self, source: str, message_id: str) -> str:
        """Return the attempt of a message whose source does not number them: that of the open one, or a new one."""

    def read_file(self, key: str) -> AsyncIterator[bytes]:
        """Yield the contents of a stored file."""

    async def cancel(self, source: str, message_id: str) -> bool:
        """Cancel the execution of a message. Returns False for an unknown message or an ended execution."""


class Intake(ABC):
    """One way in. An intake takes messages, and reports the executions that they become in the words of its source.

    It is used by `IntakeRunner` as an async context manager. A crash can happen between any two calls: then the
    successor calls `adopted` with the messages that were open. Reports are repeated after a crash, so they must be
    idempotent. Every method raises SourceUnavailable while the source does not respond.
    """

    name: ClassVar[str]
    """Name on the command line and in the API."""
    pushes_status: ClassVar[bool] = True
    """Whether the API of the product receives the status of each message. False: the source has its own statuses."""
    keep_alive_interval: float = 10.0
    """Seconds between two calls of `keep_alive`."""
    max_open: int | None = None
    """Number of messages that one process has open at the same time, if fewer than the settings permit."""

    def __init__(self, context: IntakeContext) -> None:
        self.context = context

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    @abstractmethod
    def sources(self) -> Sequence[str]:
        """Names of the queues or streams that it takes messages from."""

    @abstractmethod
    def receive(self) -> AsyncIterator[Delivery]:
        """Yield messages as they are taken. Taking is paused until the next one is requested."""

    @abstractmethod
    async def plan(self, delivery: Delivery) -> Mapping[str, Any]:
        """Turn a message into a plan (`{"jobs": […]}`) or a submission (`{"executionPlan": …}`).

        Raises BadInput with all problems of an invalid message, and NothingToRun.
        """

    async def answer(self, delivery: Delivery) -> None:
        """Answer a message for which `plan` has raised NothingToRun, and release its claim. Can be repeated."""
        raise NotImplementedError

    @abstractmethod
    async def reject(self, delivery: Delivery, rejection: Rejection) -> None:
        """Report that a message is invalid, and release its claim."""

    async def accepted(self, message: OpenMessage) -> None:  # noqa: B027 - optional
        """Note that a message and its execution are stored. Called for each delivery that `plan` accepts."""

    async def report(self, message: OpenMessage, update: Update) -> None:  # noqa: B027 - optional
        """Report progress. Called before `finish`, too, if there are events that were not reported."""

    @abstractmethod
    async def finish(self, message: OpenMessage, outcome: Outcome) -> None:
        """Report the end, and release the claim. A message that the source no longer knows is no error."""

    def result(self, outcome: Outcome) -> Mapping[str, Any]:
        """Return the result of a message, as the source and the API of the product receive it."""
        return result_of(outcome)

    def will_retry(self, message: Claimed, failure: Rejection | Outcome) -> bool:  # noqa: ARG002 - for subclasses
        """Return whether the source makes another attempt after this failure.

        If so, the API of the product does not receive the failure.
        """
        return False

    async def keep_alive(self, messages: Collection[Claimed]) -> None:  # noqa: B027 - optional
        """Extend the claims of messages."""

    async def adopted(self, messages: Collection[OpenMessage]) -> None:  # noqa: B027 - optional
        """Take over the claims of a process that has ended. Called before `receive`, and later when one ends."""

    async def backlog(self) -> int | None:
        """Return the number of messages that wait in the source; None if it cannot be known."""
        return None
