"""The events of an execution: a closed union by `type`, each with its own `data`.

`data` stays a dictionary, with the fields that were stored: optional ones are absent, not null.
"""

from datetime import datetime
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic needs these before Python 3.12
    TypeAlias,
    get_args,
)

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, with_config
from typing_extensions import TypeAliasType, TypedDict

from callsheet.domain.approval_terms import Channel, Default
from callsheet.domain.error_codes import JobErrorCode, ProblemCode
from callsheet.domain.event_types import EventType
from callsheet.domain.model import Model
from callsheet.domain.wait_reasons import WaitCode, WaitReason

_data = with_config(ConfigDict(extra="ignore"))
"""Fields of a newer version are ignored, so that processes of two versions can run side by side during an upgrade."""

WORKER_LOST = "worker lost"
"""Reason of `job.queued` when a job was rescued from a lost worker."""

Reason: TypeAlias = Annotated[str, Field(description="Why, for people", examples=["manual retry"])]


@_data
class NoData(TypedDict):
    """No data."""


@_data
class ExecutionQueuedData(TypedDict):
    """Data of `execution.queued`."""

    jobs: Annotated[int, Field(description="Number of jobs in the plan")]


@_data
class ReasonData(TypedDict):
    """Data of a change of status that can have several reasons."""

    reason: NotRequired[Reason]


@_data
class JobRunningData(TypedDict):
    """Data of `job.running`."""

    attempt: Annotated[int, Field(description="Number of the attempt, from 1")]
    epoch: Annotated[int, Field(description="Number of the claim")]
    worker: Annotated[str, Field(description="Name of the worker")]


@_data
class EventProblem(TypedDict):
    """One problem of an input of a job."""

    path: str
    code: ProblemCode
    message: str


@_data
class EventError(TypedDict):
    """Why a run failed; the error of the job, without its traceback."""

    code: JobErrorCode
    customCode: NotRequired[str]
    message: str
    attempt: NotRequired[int]
    problems: NotRequired[list[EventProblem]]
    facts: NotRequired[dict[str, JsonValue]]


@_data
class JobScheduledData(TypedDict):
    """Data of `job.scheduled`."""

    delay: Annotated[float, Field(description="Seconds until the job may run")]
    error: NotRequired[Annotated[EventError, Field(description="Error of the failed run")]]
    reason: NotRequired[Reason]


@_data
class JobWaitingData(TypedDict):
    """Data of `job.waiting`."""

    provider: NotRequired[
        Annotated[str, Field(description="Provider of its submission; absent: it waits for a person")]
    ]
    providerJobId: NotRequired[Annotated[str, Field(description="The provider's id of the task, once it is known")]]
    providerStatus: NotRequired[Annotated[str, Field(description="Status of the task, in the provider's terms")]]
    reason: NotRequired[Reason]


@_data
class JobFailedData(TypedDict):
    """Data of `job.failed`."""

    error: EventError


@_data
class JobProgressData(TypedDict):
    """Data of `job.progress`."""

    progress: Annotated[float, Field(description="0 to 1", ge=0, le=1)]
    message: NotRequired[str]


@with_config(ConfigDict(extra="allow"))
class JobLogData(TypedDict):
    """Data of `job.log`: a message, and facts that the operation names."""

    message: str


@_data
class JobBlockedData(TypedDict):
    """Data of `job.blocked`: the wait reason of the job."""

    code: WaitCode
    message: str
    until: NotRequired[Annotated[str, Field(description="When the wait ends, if that is known")]]
    facts: dict[str, JsonValue]


@_data
class JobProviderStatusData(TypedDict):
    """Data of `job.provider_status`."""

    provider: str
    status: Annotated[str, Field(description="In the provider's terms")]


@_data
class JobApprovalRequestedData(TypedDict):
    """Data of `job.approval_requested`."""

    approval: Annotated[str, Field(description="Id of the approval")]
    title: Annotated[str, Field(description="The question")]
    deadline: Annotated[str, Field(description="Time of the deadline")]
    default: Annotated[Default, Field(description="What happens at the deadline without a decision")]
    url: NotRequired[
        Annotated[str, Field(description="Signed link to its page, for a person; absent without a public URL")]
    ]


@_data
class JobApprovalDecidedData(TypedDict):
    """Data of `job.approval_decided`."""

    approval: Annotated[str, Field(description="Id of the approval")]
    outcome: Annotated[Literal["approved", "rejected", "expired"], Field(description="The decision")]
    how: Annotated[Channel, Field(description="Where the decision was made; `deadline`: no person decided in time")]
    by: NotRequired[Annotated[str, Field(description="Name of the person")]]
    comment: NotRequired[str]


class _Event(Model):
    # Also of the data: its optional fields can be absent.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    number: int = Field(description="Number in its execution, from 1, without gaps")
    type: EventType
    job_id: str | None
    data: Any
    at: datetime


class _ExecutionEvent(_Event):
    job_id: None = Field(description="Null: an event of the execution")


class _JobEvent(_Event):
    job_id: str = Field(description="The job's id in its plan", examples=["intro"])


class ExecutionQueued(_ExecutionEvent):
    """The plan was stored. Always event number 1."""

    type: Literal[EventType.EXECUTION_QUEUED]
    data: ExecutionQueuedData


class ExecutionRunning(_ExecutionEvent):
    """The first job was started, or jobs were retried: then with a reason."""

    type: Literal[EventType.EXECUTION_RUNNING]
    data: ReasonData


class ExecutionSucceeded(_ExecutionEvent):
    """Every job has ended, and none failed the execution."""

    type: Literal[EventType.EXECUTION_SUCCEEDED]
    data: NoData


class ExecutionFailed(_ExecutionEvent):
    """Every job has ended, and at least one failed."""

    type: Literal[EventType.EXECUTION_FAILED]
    data: NoData


class ExecutionCancelled(_ExecutionEvent):
    """Every job has ended, and jobs were cancelled."""

    type: Literal[EventType.EXECUTION_CANCELLED]
    data: NoData


class JobPending(_JobEvent):
    """The job waits for other jobs after a retry, for its child jobs, or until a person releases it."""

    type: Literal[EventType.JOB_PENDING]
    data: ReasonData


class JobScheduled(_JobEvent):
    """The job waits for a time: the backoff after a temporary error, or its start."""

    type: Literal[EventType.JOB_SCHEDULED]
    data: JobScheduledData


class JobQueued(_JobEvent):
    """The job became ready. Not recorded for jobs that are ready when the plan is stored."""

    type: Literal[EventType.JOB_QUEUED]
    data: ReasonData


class JobRunning(_JobEvent):
    """A worker started a run."""

    type: Literal[EventType.JOB_RUNNING]
    data: JobRunningData


class JobWaiting(_JobEvent):
    """A provider works on the job's task, or the job waits for a person; no slot is held."""

    type: Literal[EventType.JOB_WAITING]
    data: JobWaitingData


class JobSucceeded(_JobEvent):
    """The job ended with a result."""

    type: Literal[EventType.JOB_SUCCEEDED]
    data: NoData


class JobFailed(_JobEvent):
    """The job failed, and is not retried automatically."""

    type: Literal[EventType.JOB_FAILED]
    data: JobFailedData


class JobCancelled(_JobEvent):
    """The job was cancelled."""

    type: Literal[EventType.JOB_CANCELLED]
    data: NoData


class JobSkipped(_JobEvent):
    """An upstream job failed, was cancelled or was skipped, so this one never ran."""

    type: Literal[EventType.JOB_SKIPPED]
    data: NoData


class JobProgress(_JobEvent):
    """Progress of a running job, at most a few times per second."""

    type: Literal[EventType.JOB_PROGRESS]
    data: JobProgressData


class JobLog(_JobEvent):
    """A message of the operation (`Context.log`), with facts."""

    type: Literal[EventType.JOB_LOG]
    data: JobLogData


class JobOutput(_JobEvent):
    """Intermediate results (`Context.publish`), as the operation names them."""

    type: Literal[EventType.JOB_OUTPUT]
    data: dict[str, Any]


class JobBlocked(_JobEvent):
    """Nothing can start the job, or its run waits for the storage.

    The data is its wait reason. Recorded when the job has been ready for some seconds: once per stay in the queue and
    once per outage.
    """

    type: Literal[EventType.JOB_BLOCKED]
    data: JobBlockedData


class JobApprovalRequested(_JobEvent):
    """The job asks a person to approve something. Recorded after `job.waiting`."""

    type: Literal[EventType.JOB_APPROVAL_REQUESTED]
    data: JobApprovalRequestedData


class JobApprovalDecided(_JobEvent):
    """An approval was decided, by a person or at its deadline. Recorded before the end of the job."""

    type: Literal[EventType.JOB_APPROVAL_DECIDED]
    data: JobApprovalDecidedData


class JobProviderStatus(_JobEvent):
    """The status of the task at the provider changed."""

    type: Literal[EventType.JOB_PROVIDER_STATUS]
    data: JobProviderStatusData


AnyEvent: TypeAlias = (
    ExecutionQueued
    | ExecutionRunning
    | ExecutionSucceeded
    | ExecutionFailed
    | ExecutionCancelled
    | JobPending
    | JobScheduled
    | JobQueued
    | JobRunning
    | JobWaiting
    | JobSucceeded
    | JobFailed
    | JobCancelled
    | JobSkipped
    | JobProgress
    | JobLog
    | JobOutput
    | JobBlocked
    | JobApprovalRequested
    | JobApprovalDecided
    | JobProviderStatus
)

Event = TypeAliasType("Event", Annotated[AnyEvent, Field(discriminator="type")])
"""An event of an execution. `type` says which one, and so which data it has."""

EVENT_CLASSES: tuple[type[BaseModel], ...] = get_args(AnyEvent)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def read_event(fields: dict[str, Any]) -> Event:
    """Return the event with these fields. Raises ValidationError for fields that no event of this type has."""
    return _ADAPTER.validate_python(fields)


def blocked_data(reason: WaitReason) -> JobBlockedData:
    """Return the data of `job.blocked` for the reason why the job waits."""
    data = JobBlockedData(code=reason.code, message=reason.message, facts=reason.facts)
    if reason.until is not None:
        data["until"] = reason.until.isoformat()
    return data
