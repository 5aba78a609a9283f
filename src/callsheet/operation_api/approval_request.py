"""The request of a running job for the decision of a person."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from callsheet.domain.approval_terms import Default, OnReject


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What a person is asked, and what happens without an answer."""

    title: str
    text: str | None
    previews: tuple[UUID, ...]
    """Ids of artifacts."""
    deadline: timedelta
    """From the moment at which the job begins to wait."""
    default: Default
    on_reject: OnReject


class WaitForApproval(Exception):
    """Raised by an operation to end its run and wait for a decision, without a slot. The decision ends the job.

    raise WaitForApproval(ApprovalRequest("Publish it?", None, (), timedelta(days=1), "reject", "fail"))
    """

    def __init__(self, request: ApprovalRequest) -> None:
        super().__init__("the job waits for the decision of a person")
        self.request = request
