"""The outcome of a run."""

from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from callsheet.domain.artifacts import Artifact
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.snooze import ApprovalWait, ProviderWait, SubmissionHold
from callsheet.engine.jobs.state_writes import StateWrite
from callsheet.operation_api.contract import Operation

RunKey: TypeAlias = tuple[UUID, int]
"""Identifies a run: the id of the job record and the epoch of the claim."""


@dataclass(frozen=True, slots=True)
class ChildJobRow:
    """A validated child job, as it is stored."""

    id: UUID
    job_id: str
    """`<id of the parent>/<id of the child>`."""
    operation: Operation
    priority: int
    params: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one run of a job."""

    job: UUID
    """Id of the job record."""
    execution_id: UUID
    epoch: int
    status: JobStatus
    """The next status of the job."""
    result: str | None = None
    """JSON text; for status SUCCEEDED."""
    error: str | None = None
    """JSON text of the error; an outcome with an error counts as an attempt."""
    delay: float = 0
    """Seconds until the next run; for status SCHEDULED."""
    artifacts: list[Artifact] = field(default_factory=list)
    children: tuple[ChildJobRow, ...] = ()
    """Child jobs that the job waits for; for status PENDING."""
    reason: str | None = None
    """Why the job is queued or pending again."""
    wait: ProviderWait | SubmissionHold | ApprovalWait | None = None
    """What the job waits for; for status WAITING."""
    state_writes: tuple[StateWrite, ...] = ()
    """Writes of the operation's state; for status SUCCEEDED."""

    @property
    def key(self) -> RunKey:
        """The run with this outcome."""
        return self.job, self.epoch
