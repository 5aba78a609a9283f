"""Records of saved views: named filters of the lists of executions and jobs."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import Field

from callsheet.domain.bulk_actions import BulkFilter
from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus, JobStatus

ListName: TypeAlias = Literal["executions", "jobs"]
"""A list that has views."""

_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
ViewName = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f/]*[^\x00-\x20/][^\x00-\x1f/]*$")]
"""A name for people: any letters without slashes, and not only spaces."""


class ExecutionView(BulkFilter):
    """Which executions a view shows, as in `GET /api/executions`."""

    status: list[ExecutionStatus] | None = Field(None, description="One or more statuses")


class JobView(Model):
    """Which jobs a view shows, as in `GET /api/jobs`."""

    status: list[JobStatus] | None = Field(None, description="One or more statuses")
    operation: _Text | None = None
    queue: _Text | None = None
    error_code: _Text | None = Field(None, description="Code of the error of a failed job")
    execution: UUID | None = Field(None, description="Id of an execution")
    created_after: datetime | None = None
    created_before: datetime | None = None


FILTERS: dict[ListName, type[ExecutionView] | type[JobView]] = {"executions": ExecutionView, "jobs": JobView}
"""List → the filter of its views."""


class SavedView(Model):
    """A named filter of a list."""

    list: ListName
    name: ViewName
    shared: bool = Field(description="Whether everyone sees it; else only the user or the key that saved it")
    filter: dict[str, Any] = Field(description="Parameters of the list, with their names and values in the API")
    created_by: str = Field(description="Name of the user or the key")
    created_at: datetime
