"""Plans: the graphs of jobs that clients submit."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from callsheet.domain.durations import Duration
from callsheet.domain.model import Model
from callsheet.domain.plan_inputs import MAX_INPUTS, InputName, PlanInput
from callsheet.domain.text_form import TextForm

JOB_ID = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be greater than zero")
    return value


class PlannedJob(Model):
    """A job of a plan: one operation with its params."""

    id: Annotated[
        str,
        TextForm(JOB_ID, "1 to 64 letters, digits, '_' and '-', with no '-' first"),
        Field(description="Unique in the plan; references and `dependsOn` use it", examples=["intro"]),
    ]
    operation: Annotated[str, Field(min_length=1, max_length=128, examples=["render"])]
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Input of the operation. `${job.path}` inserts a value from another job's result",
    )
    depends_on: list[str] = Field(
        default_factory=list,
        max_length=10_000,
        description="Jobs to wait for, in addition to those that params refer to",
    )
    priority: int | None = Field(
        None,
        ge=-1000,
        le=1000,
        description="A higher priority runs first. Default: that of the submission, else of the operation or queue",
    )
    retries: int | None = Field(
        None, ge=0, le=100, description="Retries after transient failures. Default: the operation's"
    )
    timeout: Annotated[Duration, AfterValidator(_positive)] | None = Field(
        None, description="Time limit of one run. Default: the operation's"
    )
    start_at: AwareDatetime | None = Field(
        None, description="It does not start earlier, with its UTC offset", examples=["2026-12-24T18:00:00Z"]
    )
    continue_on_failure: bool = Field(
        False,
        description="If this job fails, downstream jobs still run: references to its result become null, "
        "and the execution can succeed",
    )


class Plan(Model):
    """A graph of jobs."""

    schema_url: str | None = Field(None, alias="$schema", description="JSON Schema for editors; ignored")
    name: str | None = Field(None, max_length=200, description="Display name")
    description: str | None = Field(None, max_length=2000, description="What the plan makes; not stored")
    inputs: dict[InputName, PlanInput] = Field(
        default_factory=dict,
        max_length=MAX_INPUTS,
        description="Values that each submission gives; `${inputs.name}` inserts one into params and the name",
    )
    jobs: list[PlannedJob]


class Submission(Model):
    """A plan with the values of its inputs, its callback URL, metadata and default priority."""

    execution_plan: Plan
    inputs: dict[str, Any] = Field(default_factory=dict, description="Values of the inputs that the plan declares")
    callback_url: str | None = Field(
        None,
        max_length=2000,
        description="Receives a signed webhook when the execution ends",
        examples=["https://example.com/hooks/callsheet"],
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Stored and returned unchanged")
    priority: int | None = Field(
        None, ge=-1000, le=1000, description="Default priority of the jobs. A higher priority runs first"
    )
    start_at: AwareDatetime | None = Field(
        None, description="No job starts earlier, with its UTC offset", examples=["2026-12-24T18:00:00Z"]
    )
