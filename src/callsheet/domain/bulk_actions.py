"""Records of bulk actions: what is done with all executions that match a filter, or with a whole queue."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator

from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus, execution_actions_from

_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class BulkKind(StrEnum):
    """What a bulk action does."""

    CANCEL = "cancel"
    RETRY = "retry"
    EMPTY_QUEUE = "empty_queue"

    @property
    def statuses(self) -> list[ExecutionStatus]:
        """The statuses of executions that it changes; empty: it changes jobs."""
        return [status for status in ExecutionStatus if self.value in execution_actions_from(status)]


class BulkFilter(Model):
    """Which executions: all that match every given field, as in `GET /api/executions`. Of `empty_queue`: the queue."""

    status: list[ExecutionStatus] | None = Field(
        None, description="One or more statuses; without it, all in which the action is possible"
    )
    search: _Text | None = Field(None, description="Text in the name or the metadata, or a complete id")
    created_after: datetime | None = None
    created_before: datetime | None = None
    operation: _Text | None = Field(None, description="Operation of at least one job", examples=["render"])
    queue: _Text | None = Field(None, description="Queue of that job", examples=["render"])
    error_code: _Text | None = Field(None, description="Code of the error of that job, which has failed")
    plan: _Text | None = Field(None, description="Name of a stored plan")
    batch: UUID | None = Field(None, description="Id of a batch")
    source: _Text | None = Field(None, description="Queue or stream that an intake took it from")
    api_key: UUID | None = Field(None, description="Id of the API key that submitted it")


class BulkRequest(Model):
    """An action on everything that matches a filter."""

    action: BulkKind
    filter: BulkFilter = Field(description="`{}` matches everything")
    up_to: UUID | None = Field(
        None, description="`upTo` of a preview: what was submitted after it is left alone. Default: after this request"
    )

    @model_validator(mode="after")
    def _check_filter(self) -> "BulkRequest":
        given = {name for name in type(self.filter).model_fields if getattr(self.filter, name) is not None}
        if self.action is BulkKind.EMPTY_QUEUE:
            if given != {"queue"}:
                raise ValueError("empty_queue needs a filter with the queue, and nothing else")
        elif self.filter.status is not None and not set(self.filter.status) & set(self.action.statuses):
            wrong, right = ", ".join(self.filter.status), " and ".join(self.action.statuses)
            raise ValueError(f"{self.action} is possible for executions that are {right}, not for {wrong or 'none'}")
        return self


class BulkExample(Model):
    """One of the executions that match."""

    execution_id: UUID
    name: str | None
    status: ExecutionStatus


class BulkPreview(Model):
    """What a bulk action would change, if it began now."""

    action: BulkKind
    matched: int = Field(description="Executions; of `empty_queue`: jobs", examples=[1234])
    counts: dict[ExecutionStatus, int] = Field(description="Executions by status")
    examples: list[BulkExample] = Field(description="The newest of them")
    up_to: UUID = Field(description="Send it with the request, so that later executions are left alone")


class BulkFailure(Model):
    """Why an execution was not changed."""

    execution_id: UUID
    code: str = Field(examples=["budget_exceeded"])
    message: str


class BulkAction(Model):
    """An action on everything that matched a filter, and how far it is."""

    id: UUID
    action: BulkKind
    filter: BulkFilter
    status: Literal["running", "finished", "stopped"]
    matched: int = Field(description="What matched at the request: executions; of `empty_queue`: jobs")
    processed: int = Field(description="How many of them were visited")
    changed: int = Field(description="How many were cancelled or retried. Running jobs may still be stopping")
    unchanged: int = Field(description="How many were not, because they had ended or started again meanwhile")
    failed: int = Field(description="How many could not be changed")
    failures: list[BulkFailure] = Field(description="The first of those, with the reasons; at most 20")
    requested_by: str = Field(description="Name of the key or the user")
    created_at: datetime
    finished_at: datetime | None
