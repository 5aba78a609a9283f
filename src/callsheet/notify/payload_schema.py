"""The body of an outgoing webhook, for the API description. `payload` builds it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from callsheet.domain.model import Model
from callsheet.domain.records import JobErrorRecord, StoredArtifact
from callsheet.domain.statuses import ExecutionStatus, JobStatus

WebhookType = Literal["execution.succeeded", "execution.failed", "execution.cancelled"]


class WebhookJob(Model):
    """A job in a webhook."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: UUID = Field(description="Id of the job record")
    job_id: str = Field(description="The job's id in its plan")
    operation: str
    status: JobStatus
    error: JobErrorRecord | None
    attempts: int
    result: Any = Field(None, description="Absent if the webhook is shortened")
    started_at: datetime | None
    finished_at: datetime | None


class WebhookExecution(Model):
    """The execution that has ended."""

    execution_id: UUID
    name: str | None
    status: ExecutionStatus
    progress: float
    job_counts: dict[JobStatus, int]
    metadata: dict[str, Any]
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    last_event: int
    jobs: list[WebhookJob]
    artifacts: list[StoredArtifact]
    truncated: bool = Field(description="The webhook is shortened to 20 kB; `statusUrl` returns everything")
    status_url: str


class ExecutionWebhook(Model):
    """Sent to the `callbackUrl` when an execution has ended."""

    type: WebhookType
    timestamp: datetime
    data: WebhookExecution
