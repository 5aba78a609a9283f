"""Snooze: a run ends early and its job waits for a provider."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from callsheet.domain.json_storage import storable_text
from callsheet.providers.contract import Look


@dataclass(frozen=True, slots=True)
class Wait:
    """What a run leaves behind that waits for a provider."""

    submission: UUID
    provider: str
    task_id: str | None
    """None while nobody knows whether it took the order."""
    delay: float
    """Seconds until the next look."""
    patience: float
    """Seconds from the acceptance on, or from the sending while nobody knows of one."""
    look: Look | None = None
    """What was seen just now, if anything."""

    @property
    def told(self) -> dict[str, Any]:
        """What its event tells."""
        facts = {"provider": self.provider, "providerJobId": self.task_id}
        if self.look is not None:
            facts["providerStatus"] = storable_text(self.look.status)
        return {name: value for name, value in facts.items() if value is not None}


class Waiting(Exception):
    """Ends a run that has nothing to do until a provider is done; the job's seat is free meanwhile."""

    def __init__(self, wait: Wait) -> None:
        super().__init__("the job waits for a provider")
        self.wait = wait
