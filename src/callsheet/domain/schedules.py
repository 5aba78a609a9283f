"""Schedules: plans that are run at times."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from callsheet.domain.durations import Duration, duration_text
from callsheet.domain.model import Model
from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_inputs import InputName
from callsheet.domain.recurrence import CronExpression, Recurrence, TimeZone
from callsheet.domain.statuses import ExecutionStatus
from callsheet.domain.stored_names import StoredName

Origin = Literal["api", "settings", "included"]
"""Where a schedule comes from. `settings`: the file of CALLSHEET_SCHEDULES_FILE; `included`: Callsheet brings it."""


ServerTask = Literal["clean-up", "resource-watch"]
"""`clean-up`: delete what the retention rules no longer keep. `resource-watch`: thin the measurements of workers, and
summarize the newest ones."""


class Missed(StrEnum):
    """What is done about times at which no server ran."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """What is done when the schedule is due and an execution of it has not ended."""

    SKIP = "skip"
    WAIT = "wait"
    CANCEL = "cancel"
    ALLOW = "allow"


class RunOutcome(StrEnum):
    """What became of a time at which a schedule was due."""

    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"
    REFUSED = "refused"


class ScheduleSpec(Model):
    """When a plan is run, and which."""

    description: str | None = Field(None, max_length=2000)
    cron: CronExpression | None = None
    time_zone: TimeZone = "UTC"
    every: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=366))] | None = Field(
        None, description="Interval instead of `cron`, counted from 1970-01-01 00:00 UTC", examples=["6h"]
    )
    plan: StoredName | None = Field(None, description="Name of a stored plan", examples=["ad"])
    version: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Version of the stored plan; null: the newest at each time"
    )
    execution_plan: Plan | None = Field(None, description="A plan, instead of a stored one")
    task: ServerTask | None = Field(None, description="Work of the server itself, instead of a plan")
    inputs: dict[InputName, Any] = Field(default_factory=dict, description="Values of the inputs of the plan")
    callback_url: str | None = Field(
        None, max_length=2000, description="Receives a signed webhook when an execution ends"
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Stored with each execution")
    priority: int | None = Field(None, ge=-1000, le=1000, description="Default priority of the jobs")
    missed: Missed = Field(
        Missed.ONCE,
        description="Times that passed while no server ran: `skip` them, run `once` for all of them, or run for `all`, "
        "at most the last 100",
    )
    overlap: Overlap = Field(
        Overlap.SKIP,
        description="When an execution of the schedule has not ended: `skip` the time, `wait` until it has ended, "
        "`cancel` it, or `allow` both",
    )
    jitter: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=1))] | None = Field(
        None, description="Each start is delayed by a time up to this, so that schedules do not start together"
    )

    @model_validator(mode="after")
    def _check(self) -> "ScheduleSpec":
        if (self.cron is None) == (self.every is None):
            raise ValueError("give one of `cron` and `every`")
        if self.cron is None and self.time_zone != "UTC":
            raise ValueError("`timeZone` belongs to `cron`; intervals are counted in UTC")
        if sum(given is not None for given in (self.plan, self.execution_plan, self.task)) != 1:
            raise ValueError("give one of `plan`, the name of a stored plan, `executionPlan` and `task`")
        if self.plan is None and self.version is not None:
            raise ValueError("`version` belongs to `plan`")
        return self

    @property
    def recurrence(self) -> Recurrence:
        """The times at which it is due."""
        return Recurrence(self.cron, self.time_zone, self.every)

    @property
    def when(self) -> str:
        """When it is due, for people."""
        return f"{self.cron} ({self.time_zone})" if self.every is None else f"every {duration_text(self.every)}"

    def submission(self, plan: Plan) -> Submission:
        """Return the submission of the plan."""
        return Submission(
            execution_plan=plan,
            inputs=self.inputs,
            callback_url=self.callback_url,
            metadata=self.metadata,
            priority=self.priority,
        )


class ScheduleRun(Model):
    """A time at which a schedule was due, and what became of it."""

    due_at: datetime
    decided_at: datetime
    outcome: RunOutcome
    reason: str | None = Field(description="Why nothing was started, or what else is to know")
    is_manual: bool = Field(description="Whether a person or a client started it")
    execution_id: UUID | None
    execution_status: ExecutionStatus | None = Field(description="Null: nothing was started, or it was deleted")


class Schedule(ScheduleSpec):
    """A schedule."""

    name: str = Field(examples=["morning-ad"])
    origin: Origin
    paused_at: datetime | None
    next_due_at: datetime | None = Field(description="Null: it is paused, or no time follows")
    next_start_at: datetime | None = Field(description="`nextDueAt` with the jitter")
    last_run: ScheduleRun | None
    created_at: datetime
    created_by: str
    updated_at: datetime
