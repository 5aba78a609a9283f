"""Snooze: a run ends early, and its job waits for a provider or for a person without a slot."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from callsheet.domain.events import JobApprovalRequestedData
from callsheet.domain.json_storage import storable_text
from callsheet.domain.wait_reasons import WaitCode, WaitReason
from callsheet.operation_api.approval_request import ApprovalRequest
from callsheet.providers.contract import TaskStatus


@dataclass(frozen=True, slots=True)
class ProviderWait:
    """The submission that a snoozed job waits for, and when to poll it."""

    submission: UUID
    provider: str
    task_id: str | None
    """None while it is unknown whether the provider accepted the submission."""
    delay: float
    """Seconds until the next poll."""
    timeout: float
    """Seconds from the acceptance of the submission, or from its creation while its outcome is unknown."""
    status: TaskStatus | None = None
    """The result of a poll in this run, if any."""

    @property
    def facts(self) -> dict[str, Any]:
        """The data of its event."""
        facts = {"provider": self.provider, "providerJobId": self.task_id}
        if self.status is not None:
            facts["providerStatus"] = storable_text(self.status.status)
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SubmissionHold:
    """A submission that is not sent until a person releases it."""

    provider: str

    @property
    def facts(self) -> dict[str, Any]:
        """The data of its event."""
        return {"provider": self.provider, "reason": "its submission is held until a person releases it"}


@dataclass(frozen=True, slots=True)
class ApprovalWait:
    """An approval that a person has to decide."""

    id: UUID
    request: ApprovalRequest
    deadline: datetime
    url: str | None
    """The signed link to its page; None without a public URL."""

    @property
    def facts(self) -> dict[str, Any]:
        """The data of the event `job.waiting`."""
        return {"reason": "it waits for the decision of a person"}

    @property
    def request_data(self) -> JobApprovalRequestedData:
        """The data of the event `job.approval_requested`."""
        data = JobApprovalRequestedData(
            approval=str(self.id),
            title=self.request.title,
            deadline=self.deadline.isoformat(),
            default=self.request.default,
        )
        if self.url is not None:
            data["url"] = self.url
        return data

    @property
    def wait_reason(self) -> WaitReason:
        """What the job waits for."""
        default = {"approve": "is approved", "reject": "is rejected", "fail": "fails"}[self.request.default]
        return WaitReason(
            code=WaitCode.WAITING_FOR_APPROVAL,
            message=f"It waits for a person to decide “{self.request.title}”; at "
            f"{self.deadline:%Y-%m-%d %H:%M:%S} UTC it {default}. To decide: "
            f"callsheet approvals approve {self.id}, or reject",
            until=self.deadline,
            facts={"approval": str(self.id), "default": self.request.default},
        )


class Snooze(Exception):
    """Raised to end a run that can only wait. The job becomes waiting and frees its slot."""

    def __init__(self, wait: ProviderWait | SubmissionHold) -> None:
        super().__init__("the job waits for a provider, or for the release of its submission")
        self.wait = wait
