"""Snooze: a run ends early and its job waits for a provider."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from callsheet.domain.json_storage import storable_text
from callsheet.providers.contract import TaskStatus


@dataclass(frozen=True, slots=True)
class ProviderWait:
    """What a run leaves behind that waits for a provider."""

    submission: UUID
    provider: str
    task_id: str | None
    """None while nobody knows whether it took the order."""
    delay: float
    """Seconds until the next look."""
    timeout: float
    """Seconds from the acceptance on, or from the sending while nobody knows of one."""
    status: TaskStatus | None = None
    """What was seen just now, if anything."""

    @property
    def facts(self) -> dict[str, Any]:
        """What its event tells."""
        facts = {"provider": self.provider, "providerJobId": self.task_id}
        if self.status is not None:
            facts["providerStatus"] = storable_text(self.status.status)
        return {name: value for name, value in facts.items() if value is not None}


class Snooze(Exception):
    """Ends a run that has nothing to do until a provider is done; the job's seat is free meanwhile."""

    def __init__(self, wait: ProviderWait) -> None:
        super().__init__("the job waits for a provider")
        self.wait = wait
