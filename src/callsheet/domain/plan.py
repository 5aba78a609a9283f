"""A plan: the graph of jobs that a client submits."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from callsheet.domain.durations import Duration
from callsheet.domain.model import Model

JOB_ID = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


class PlannedJob(Model):
    """One operation with its parameters inside a plan."""

    id: Annotated[
        str,
        Field(pattern=JOB_ID, description="Unique in the plan; other jobs refer to it", examples=["intro"]),
    ]
    operation: Annotated[str, Field(min_length=1, max_length=128, examples=["render"])]
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="What the operation takes. `${job.path}` inserts a value from another job's result",
    )
    depends_on: list[str] = Field(
        default_factory=list, description="Jobs to wait for, besides those that params refer to"
    )
    priority: int | None = Field(
        None, ge=-1000, le=1000, description="Bigger is sooner. Default: that of the plan, else of the queue"
    )
    retries: int | None = Field(
        None, ge=0, le=100, description="How often a passing failure is tried again. Default: the operation's"
    )
    timeout: Annotated[Duration, AfterValidator(_positive)] | None = Field(
        None, description="Time limit of one run. Default: the operation's"
    )
    continue_on_failure: bool = Field(
        False,
        description="If this job fails, the rest goes on: references to its result become null, "
        "and the execution can still succeed",
    )


class Plan(Model):
    """A graph of jobs."""

    schema_url: str | None = Field(None, alias="$schema", description="For editors; not used")
    name: str | None = Field(None, max_length=200, description="Shown in lists")
    jobs: list[PlannedJob]


class Submission(Model):
    """A plan with what the caller wants done around it."""

    execution_plan: Plan
    callback_url: str | None = Field(
        None,
        max_length=2000,
        description="Gets a signed POST when the execution ends",
        examples=["https://example.com/hooks/callsheet"],
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Kept and given back unchanged")
    priority: int | None = Field(None, ge=-1000, le=1000, description="For jobs that name none. Bigger is sooner")
