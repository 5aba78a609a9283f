"""Snooze: a run ends early, and its job waits for a provider or for a person without a slot."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from callsheet.domain.json_storage import storable_text
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


class Snooze(Exception):
    """Raised to end a run that can only wait. The job becomes waiting and frees its slot."""

    def __init__(self, wait: ProviderWait | SubmissionHold) -> None:
        super().__init__("the job waits for a provider, or for the release of its submission")
        self.wait = wait
