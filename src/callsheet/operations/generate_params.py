"""Params of `generate`, validated against the model registry of the settings."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import AliasChoices, ConfigDict, Field, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from callsheet.domain.errors import Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_error
from callsheet.operations.comfyui.workflow_checks import workflow_problem
from callsheet.providers.model_records import LOCAL_COMFYUI
from callsheet.providers.registry import Registry, read_registry
from callsheet.settings import Settings

_NOT_INPUTS = frozenset({"model_id", "inputs", "provider", "waiting"})


class GenerateParams(Model):
    """A model and its inputs. Each model has its own inputs: `callsheet models show` lists them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"modelId": "bytedance/seedance-1-pro", "prompt": "A fox in the snow"}]}
    )

    model_id: str = Field(
        validation_alias=AliasChoices("modelId", "model_id", "model"),
        description="Id of the model, or an alias",
        examples=["bytedance/seedance-1-pro"],
    )
    prompt: str | None = Field(None, description="Description of the output")
    negative_prompt: str | None = Field(None, description="Description of what the output must not contain")
    image: MediaSource | None = Field(None, description="First frame, or a reference image")
    last_image: MediaSource | None = Field(None, description="Last frame")
    duration: float | None = Field(None, description="Seconds")
    aspect_ratio: str | None = Field(None, examples=["9:16"])
    resolution: str | None = Field(None, examples=["720p"])
    seed: int | None = Field(None, description="The same seed gives a similar output, if the model supports it")
    inputs: dict[str, Any] = Field(default_factory=dict, description="Other inputs of the model, by name")
    provider: str | None = Field(None, description="Name of the only provider to use", examples=["replicate"])
    waiting: Literal["webhook", "polling"] | None = Field(
        None, description="How the end of the task is detected; default: set by the model"
    )

    @model_validator(mode="after")
    def _check_model(self, info: ValidationInfo) -> Self:
        # Without settings nothing is checked here: the operation checks the params with the settings of its worker.
        if isinstance(info.context, Settings):
            registry = read_registry(info.context.models_file)
            problems = registry.problems(self.model_id, self.given_inputs(), self.provider)
            problems = problems or self._workflow_problems(registry, info.context)
            if problems:
                raise validation_error(self.locate(problems), "generate")
        return self

    def _workflow_problems(self, registry: Registry, settings: Settings) -> list[Problem]:
        """Return why the stored workflows of local offers cannot be used, unless another provider can."""
        model = registry.get(self.model_id)
        offers = [] if model is None else model.offers_by(self.provider)
        if any(offer.provider != LOCAL_COMFYUI for offer in offers):
            return []
        found = [workflow_problem(offer.model, settings) for offer in offers]
        if None in found:
            return []
        return [
            Problem("modelId", each.code, f"{self.model_id} is a workflow: {each.message}") for each in found if each
        ]

    def given_inputs(self) -> dict[str, Any]:
        """Return the inputs that are set, by their names in the registry."""
        named = {to_camel(name): getattr(self, name) for name in type(self).model_fields if name not in _NOT_INPUTS}
        given = {name: _to_int(value) for name, value in named.items() if value is not None}
        return given | self.inputs

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return problems of inputs with the paths of the params that they come from."""
        fields = {to_camel(name) for name in type(self).model_fields}
        return [
            Problem(f"inputs.{p.path}" if p.path in self.inputs or p.path not in fields else p.path, p.code, p.message)
            for p in problems
        ]


def input_params(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params that give a model these inputs: those that many models have are params of their own."""
    own = {to_camel(name) for name in GenerateParams.model_fields if name not in _NOT_INPUTS}
    named = {name: value for name, value in inputs.items() if name in own}
    others = {name: value for name, value in inputs.items() if name not in own}
    return {**named, **({"inputs": others} if others else {})}


def _to_int(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
