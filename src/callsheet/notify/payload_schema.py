"""The bodies of outgoing webhooks: a closed union by `type`. `payload` builds them."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, Union
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model
from typing_extensions import TypeAliasType

from callsheet.ads.fatigue_report import AdReference
from callsheet.domain.approvals import ApprovalDecision
from callsheet.domain.event_types import EventType
from callsheet.domain.events import EVENT_CLASSES, ExecutionCancelled, ExecutionFailed, ExecutionSucceeded
from callsheet.domain.model import Model
from callsheet.domain.records import ReportedError, StoredArtifact
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.notify.event_types import TEST, AlertType


class WebhookJob(Model):
    """A job in a webhook."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: UUID = Field(description="Id of the job record")
    job_id: str = Field(description="The job's id in its plan")
    operation: str
    status: JobStatus
    error: ReportedError | None = None
    attempts: int
    result: Any = Field(None, description="Absent if the webhook is shortened")
    started_at: datetime | None
    finished_at: datetime | None


class EndedExecution(Model):
    """The state of an execution when it ended."""

    status: ExecutionStatus
    progress: float = 1.0
    job_counts: dict[JobStatus, int]
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    last_event: int = Field(description="The same as `eventNumber`")


class WebhookExecution(EndedExecution):
    """The execution as it was when it ended."""

    execution_id: UUID
    event_number: int = Field(description="Number of the event in the execution: a higher one is newer")
    name: str | None
    metadata: dict[str, Any]
    jobs: list[WebhookJob]
    artifacts: list[StoredArtifact] = Field(description="Files, with URLs that are signed when the webhook is sent")
    truncated: bool = Field(description="The webhook is shortened to 20 kB; `statusUrl` returns everything")
    status_url: str


class SucceededExecution(WebhookExecution):
    """An execution that has succeeded."""

    status: Literal[ExecutionStatus.SUCCEEDED]


class FailedExecution(WebhookExecution):
    """An execution that has failed."""

    status: Literal[ExecutionStatus.FAILED]


class CancelledExecution(WebhookExecution):
    """An execution that was cancelled."""

    status: Literal[ExecutionStatus.CANCELLED]


class _Webhook(Model):
    timestamp: datetime = Field(description="When the event happened")


class ExecutionSucceededWebhook(_Webhook):
    """Every job has ended, and none failed the execution."""

    type: Literal[EventType.EXECUTION_SUCCEEDED]
    data: SucceededExecution


class ExecutionFailedWebhook(_Webhook):
    """Every job has ended, and at least one failed."""

    type: Literal[EventType.EXECUTION_FAILED]
    data: FailedExecution


class ExecutionCancelledWebhook(_Webhook):
    """Every job has ended, and jobs were cancelled."""

    type: Literal[EventType.EXECUTION_CANCELLED]
    data: CancelledExecution


_AnyExecutionWebhook: TypeAlias = ExecutionSucceededWebhook | ExecutionFailedWebhook | ExecutionCancelledWebhook
ExecutionWebhook = TypeAliasType("ExecutionWebhook", Annotated[_AnyExecutionWebhook, Field(discriminator="type")])
"""Sent to the `callbackUrl`, and to endpoints, when an execution has ended."""


class EventJob(Model):
    """The job of an event, as it was when the event was stored."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: UUID = Field(description="Id of the job record")
    job_id: str = Field(description="The job's id in its plan")
    operation: str
    queue: str
    status: JobStatus
    attempts: int
    result: Any = Field(None, description="Absent if the webhook is shortened")
    started_at: datetime | None
    finished_at: datetime | None


class WebhookEvent(Model):
    """An event of an execution that has not ended, or of one of its jobs. Each type adds its own `event`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    execution_id: UUID
    event_number: int = Field(description="Number of the event in the execution: a higher one is newer")
    name: str | None = Field(description="Name of the execution")
    metadata: dict[str, Any] = Field(description="Metadata of the execution")
    job: EventJob | None = Field(description="null for events of the execution itself")
    artifacts: list[StoredArtifact] = Field(description="Files of a job that succeeded")
    truncated: bool = Field(description="The webhook is shortened to 20 kB; `statusUrl` returns everything")
    status_url: str


def _event_webhook(event: type[BaseModel]) -> type[Model]:
    """Return the webhook of an event type: `JobFailedWebhook` for `JobFailed`."""
    kind, data = (event.__annotations__[name] for name in ("type", "data"))
    # With a factory, the JSON schema has no default: generators for TypeScript make the field optional.
    described = Field(default_factory=lambda: None, description="Data of the event. Absent if the webhook is shortened")
    webhook_event = create_model(
        f"{event.__name__}WebhookData", __base__=WebhookEvent, __doc__=event.__doc__, event=(data | None, described)
    )
    return create_model(
        f"{event.__name__}Webhook",
        __base__=_Webhook,
        __doc__=event.__doc__,
        type=(kind, ...),
        data=(webhook_event, ...),
    )


_EXECUTION_ENDS = (ExecutionSucceeded, ExecutionFailed, ExecutionCancelled)
_event_webhooks = tuple(_event_webhook(event) for event in EVENT_CLASSES if event not in _EXECUTION_ENDS)
_AnyEventWebhook: TypeAlias = Union[_event_webhooks]  # type: ignore[valid-type]  # noqa: UP007
EventWebhook = TypeAliasType("EventWebhook", Annotated[_AnyEventWebhook, Field(discriminator="type")])
"""Sent to endpoints for the other events of executions and jobs."""


class ApprovedAction(Model):
    """An action that a person has approved."""

    execution_id: UUID
    job_record_id: UUID = Field(description="Id of the `ad-action` job; the id of the webhook is the same")
    action: Literal["pause", "rotate"]
    ads: list[AdReference]
    reason: str | None
    approval: ApprovalDecision


class AdActionWebhook(_Webhook):
    """Sent to the URL of an `ad-action` job. Deliveries of one action have the same id: do it once."""

    type: Literal["ad.action"]
    data: ApprovedAction


class AlertWebhook(Model):
    """Sent to the alert URL, and to endpoints, when a queue fails or an endpoint is disabled."""

    type: AlertType
    timestamp: datetime
    text: str = Field(description="The alert in one sentence. Slack shows it")
    data: dict[str, Any] = Field(description="The facts of the alert")


class EndpointTest(Model):
    """Sent to an endpoint on request."""

    type: Literal["webhook.test"] = TEST
    timestamp: datetime
    text: str
    data: dict[str, Any]
