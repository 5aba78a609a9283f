"""The bodies of outgoing webhooks: a closed union by `type`. `payload` builds them."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import ConfigDict, Field
from typing_extensions import TypeAliasType

from callsheet.domain.event_types import EventType
from callsheet.domain.model import Model
from callsheet.domain.records import ReportedError, StoredArtifact
from callsheet.domain.statuses import ExecutionStatus, JobStatus


class WebhookJob(Model):
    """A job in a webhook."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: UUID = Field(description="Id of the job record")
    job_id: str = Field(description="The job's id in its plan")
    operation: str
    status: JobStatus
    error: ReportedError | None
    attempts: int
    result: Any = Field(None, description="Absent if the webhook is shortened")
    started_at: datetime | None
    finished_at: datetime | None


class _EndedExecution(Model):
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


class SucceededExecution(_EndedExecution):
    """An execution that has succeeded."""

    status: Literal[ExecutionStatus.SUCCEEDED]


class FailedExecution(_EndedExecution):
    """An execution that has failed."""

    status: Literal[ExecutionStatus.FAILED]


class CancelledExecution(_EndedExecution):
    """An execution that was cancelled."""

    status: Literal[ExecutionStatus.CANCELLED]


class ExecutionSucceededWebhook(Model):
    """Every job has ended, and none failed the execution."""

    type: Literal[EventType.EXECUTION_SUCCEEDED]
    timestamp: datetime
    data: SucceededExecution


class ExecutionFailedWebhook(Model):
    """Every job has ended, and at least one failed."""

    type: Literal[EventType.EXECUTION_FAILED]
    timestamp: datetime
    data: FailedExecution


class ExecutionCancelledWebhook(Model):
    """Every job has ended, and jobs were cancelled."""

    type: Literal[EventType.EXECUTION_CANCELLED]
    timestamp: datetime
    data: CancelledExecution


_AnyWebhook: TypeAlias = ExecutionSucceededWebhook | ExecutionFailedWebhook | ExecutionCancelledWebhook
ExecutionWebhook = TypeAliasType("ExecutionWebhook", Annotated[_AnyWebhook, Field(discriminator="type")])
"""Sent to the `callbackUrl` when an execution has ended."""
