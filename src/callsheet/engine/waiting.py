"""How long a job waits for a provider, and when it is looked at next."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from callsheet.domain.storable import storable_text
from callsheet.providers.contract import Look, Provider


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


def next_look(provider: Provider, looks: int, *, webhook: bool) -> float:
    """Return seconds until the next look at a task that was looked at so often: longer each time, jittered."""
    polling = provider.polling
    longest = polling.cap.total_seconds()
    seconds = min(longest, polling.first.total_seconds() * polling.factor ** min(looks, 100))
    if webhook:
        seconds = max(seconds, polling.beside_webhook.total_seconds())
    if provider.capabilities.retention is not None:
        seconds = min(seconds, _before_it_is_gone(provider.capabilities.retention))
    # Never sooner than asked for, and never all at once.
    return seconds * random.uniform(1, 1.1)  # noqa: S311 - jitter


def _before_it_is_gone(retention: timedelta) -> float:
    """Results that are kept for so long are seen with time left to fetch them."""
    return retention.total_seconds() / 4
