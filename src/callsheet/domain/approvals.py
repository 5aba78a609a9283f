"""Approvals: questions of jobs that a person answers with yes or no, and their answers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from callsheet.domain.approval_terms import Channel, Default, OnReject
from callsheet.domain.model import Model
from callsheet.domain.records import StoredArtifact

PersonName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]


class ApprovalStatus(StrEnum):
    """Status of an approval."""

    OPEN = "open"
    """It waits for a decision."""
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """No person decided before the deadline, and the default is `fail`."""
    WITHDRAWN = "withdrawn"
    """The job was cancelled."""


class ApprovalDecision(Model):
    """A decision. It is the result of the job."""

    approved: bool
    by: str | None = Field(
        description="Name of the person, as given with the decision; null: no person decided in time"
    )
    comment: str | None
    decided_at: datetime
    how: Channel | Literal["none"] = Field(
        description="Where the decision was made; `deadline`: no person decided in time; `none`: there was nothing to "
        "approve"
    )


class Approval(Model):
    """A question of a job that a person answers."""

    id: UUID
    execution_id: UUID
    job_id: str = Field(description="Id of the job in its plan")
    job_record_id: UUID
    status: ApprovalStatus
    title: str
    text: str | None
    previews: list[StoredArtifact] = Field(description="Files to look at, with signed URLs; deleted ones are left out")
    deadline: datetime
    default: Default = Field(description="What happens at the deadline without a decision")
    on_reject: OnReject = Field(description="What a rejection does to the job")
    created_at: datetime
    by: str | None = Field(description="Name of the person, as given with the decision")
    comment: str | None
    decided_at: datetime | None
    how: Channel | None = Field(description="Where the decision was made; `deadline`: no person decided in time")
    url: str | None = Field(
        description="Signed link to the page of the approval, which needs no API key; null: decided"
    )
