"""Params and results of the operations `command` and `http`, and the request that a step receives."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field, ValidationInfo, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_error
from callsheet.operation_api.contract import Context
from callsheet.outside_steps.declarations import Step, find_step, read_steps
from callsheet.settings import Settings

S = TypeVar("S", bound=Step)


class OutsideParams(Model):
    """The params of a step outside of Callsheet. A subclass has a field with its name: `command` or `endpoint`."""

    kind: ClassVar[str]
    """The name of that field."""

    params: dict[str, Any] = Field(default_factory=dict, description="Params of the step, as it declares them")
    inputs: dict[str, MediaSource] = Field(
        default_factory=dict, max_length=1_000, description="Input files of the step, by names of your choice"
    )

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        check_step(info, self.kind, self.step_name, self.params)
        return self

    @property
    def step_name(self) -> str:
        """Name of the step in the steps file."""
        return str(getattr(self, self.kind))


class OutsideResult(Model):
    """What the step returned."""

    data: dict[str, Any] = Field(description="The `result` of the step: `${job.data.words}`")
    files: list[Artifact] = Field(description="All files, in the order of the step")
    videos: list[Artifact] = Field(default_factory=list)
    images: list[Artifact] = Field(default_factory=list)
    audios: list[Artifact] = Field(default_factory=list)


def check_step(info: ValidationInfo, kind: str, name: str, params: dict[str, Any]) -> None:
    """Raise ValidationError for params that the step does not accept, when a plan is submitted.

    Without settings nothing is checked here: the operation checks the params with the settings of its worker.
    """
    if not isinstance(info.context, Settings) or "${" in name:
        return
    try:
        problems = step_named(info.context, kind, name).problems(params)
    except ConfigurationError as error:
        problems = [Problem(kind, "bad_value", error.message)]
    if problems:
        raise validation_error(problems, kind)


def step_named(settings: Settings, kind: str, name: str) -> Step:
    """Return a `command` or an `endpoint` of the steps file. Raises ConfigurationError if there is none."""
    steps = read_steps(settings)
    found: Sequence[Step] = steps.commands if kind == "command" else steps.endpoints
    return find_step(name, list(found), kind, settings)


async def checked_step(job: Context, params: OutsideParams, declared: type[S]) -> S:
    """Return the step of a job as the steps file of its worker declares it.

    Raises ConfigurationError if there is none, and BadParams for params that it does not accept.
    """
    step = await asyncio.to_thread(step_named, job.settings, params.kind, params.step_name)
    assert isinstance(step, declared)  # noqa: S101 - the kind was asked for
    if problems := await asyncio.to_thread(step.problems, params.params):
        raise BadParams(problems)
    return step


def request_for(job: Context, name: str, params: OutsideParams, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what the step receives.

    The idempotency key is the same when a worker dies and the job runs again, and another one after a failure.
    """
    return {
        "step": name,
        "jobId": str(job.id),
        "executionId": str(job.execution_id),
        "attempt": job.attempt,
        "idempotencyKey": f"{job.id}-{job.attempt}",
        "params": params.params,
        "inputs": inputs,
    }


def result_of(data: dict[str, Any], files: list[Artifact]) -> OutsideResult:
    """Return the result with the files by their kind."""

    def of_kind(prefix: str) -> list[Artifact]:
        return [file for file in files if file.media_type.startswith(prefix)]

    return OutsideResult(
        data=data, files=files, videos=of_kind("video/"), images=of_kind("image/"), audios=of_kind("audio/")
    )
