"""What an execution was made from: a stored plan, its inputs, a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PlanRun:
    """The origin of an execution."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Values of the inputs, as given."""
    plan_name: str | None = None
    """Name of the stored plan; None if the plan was part of the request."""
    plan_version: int | None = None
    requested_version: int | None = None
    """The version that the client asked for; None: the newest one."""
    batch_id: UUID | None = None
    position: int | None = None
    """Row of the batch, from 0."""

    @property
    def requested(self) -> str:
        """The plan as the client named it."""
        return f"{self.plan_name}@{self.requested_version or 'newest'}"
