"""The bodies of outgoing webhooks. `payload` builds them, and the API description shows them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from callsheet.domain.model import Model
from callsheet.domain.records import JobErrorRecord, StoredArtifact
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.notify.event_types import TEST, AlertType

ExecutionEnd = Literal["execution.succeeded", "execution.failed", "execution.cancelled"]


class WebhookJob(Model):
    """A job in a webhook."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: UUID = Field(description="Id of the job record")
    job_id: str = Field(description="The job's id in its plan")
    operation: str
    status: JobStatus
    error: JobErrorRecord | None = None
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


class ExecutionWebhook(Model):
    """Sent to the `callbackUrl`, and to endpoints, when an execution has ended."""

    type: ExecutionEnd
    timestamp: datetime = Field(description="When the event happened")
    data: WebhookExecution


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
    """An event of an execution that has not ended, or of one of its jobs."""

    execution_id: UUID
    event_number: int = Field(description="Number of the event in the execution: a higher one is newer")
    name: str | None = Field(description="Name of the execution")
    metadata: dict[str, Any] = Field(description="Metadata of the execution")
    job: EventJob | None = Field(description="null for events of the execution itself")
    event: dict[str, Any] = Field(description="Data of the event, such as `error` or `progress`")
    artifacts: list[StoredArtifact] = Field(description="Files of a job that succeeded")
    truncated: bool = Field(description="The webhook is shortened to 20 kB; `statusUrl` returns everything")
    status_url: str


class EventWebhook(Model):
    """Sent to endpoints for the other events of executions and jobs."""

    type: str = Field(description="Type of the event", examples=["job.failed"])
    timestamp: datetime = Field(description="When the event happened")
    data: WebhookEvent


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
