"""The models that can be asked for by their ids: which providers offer them, and what they take."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import ConfigurationError, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.references import has_reference
from callsheet.domain.validation_problems import validation_problems

Kind = Literal["text", "integer", "number", "boolean", "file", "files"]
Makes = Literal["video", "image", "audio"]
WaitStrategy = Literal["webhook", "polling"]


LOCAL_COMFYUI = "comfyui"
"""In the place of a provider: the model is a workflow that is stored for our own ComfyUI servers."""


class Parameter(Model):
    """One input of a model."""

    to: str = Field(description="The provider's own name for it")
    kind: Kind = "text"
    required: bool = False
    default: Any = None
    choices: list[Any] | None = Field(None, min_length=1, description="The only values that it may have")
    minimum: float | None = Field(None, allow_inf_nan=False)
    maximum: float | None = Field(None, allow_inf_nan=False)
    max_length: int | None = Field(None, ge=1)
    as_text: bool = Field(False, description="Whether the provider wants a number written as text")
    description: str = ""

    @model_validator(mode="after")
    def _holds_together(self) -> "Parameter":
        if self.kind not in ("integer", "number") and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"a least and a most are for numbers, not for {_A[self.kind]}")
        if self.kind != "text" and self.max_length is not None:
            raise ValueError(f"a length is for texts, not for {_A[self.kind]}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"its least, {self.minimum:g}, is above its most, {self.maximum:g}")
        if wrong := next(filter(None, map(self._wrong_kind, self.choices or ())), None):
            # 16:9 without quotes is the number 969: 16 minutes and 9 seconds.
            hint = "; texts like '16:9' need quotes" if self.kind == "text" else ""
            raise ValueError(f"one of its choices does not fit: {wrong}{hint}")
        if self.default is not None and (wrong := self.problem(self.default)) is not None:
            raise ValueError(f"its default does not fit: {wrong}")
        return self

    def problem(self, value: Any) -> str | None:
        """Return why a value does not fit, or None when it does."""
        return self._wrong_kind(value) or self._out_of_bounds(value)

    def _wrong_kind(self, value: Any) -> str | None:
        fits = {
            "text": isinstance(value, str),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value),
            "boolean": isinstance(value, bool),
            "file": _is_source(value),
            "files": isinstance(value, list) and all(map(_is_source, value)),
        }
        return None if fits[self.kind] else f"{_A[self.kind]} is needed, not {value!r:.60}"

    def _out_of_bounds(self, value: Any) -> str | None:
        if self.choices is not None and value not in self.choices:
            return f"{value!r:.60} is not one of {', '.join(map(str, self.choices))}"
        if self.minimum is not None and value < self.minimum:
            return f"{value} is below the least, {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"{value} is above the most, {self.maximum:g}"
        if self.max_length is not None and len(value) > self.max_length:
            return f"{len(value):,} characters are more than the {self.max_length:,} allowed"
        return None


def _is_source(value: Any) -> bool:
    try:
        MediaSource.model_validate(value)
    except ValidationError:
        return False
    return True


_A: dict[Kind, str] = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "file": "a media source",
    "files": "a list of media sources",
}


class Offer(Model):
    """A model as one provider has it."""

    provider: str
    model: str = Field(description="The provider's own name for it")
    version: str | None = None
    waiting: WaitStrategy = Field("webhook", description="How its end is learned of, where both work")
    parameters: dict[str, Parameter]
    fixed: dict[str, Any] = Field(default_factory=dict, description="What goes along with every order")
    price: str | None = Field(None, description="For people, with the day it was seen")

    @model_validator(mode="after")
    def _parameters_differ(self) -> "Offer":
        named = [parameter.to for parameter in self.parameters.values()]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"two parameters are the provider's '{twice[0]}'")
        return self


class GenerativeModel(Model):
    """Something that can be asked for by its id."""

    id: str = Field(pattern=r"^[a-zA-Z0-9][\w.\-/:]{0,120}$")
    name: str
    makes: Makes
    summary: str = ""
    aliases: list[str] = Field(default_factory=list)
    offers: list[Offer] = Field(min_length=1, description="The first is asked; the others when it certainly refused")

    @model_validator(mode="after")
    def _offers_differ(self) -> "GenerativeModel":
        named = [(offer.provider, offer.model, offer.version) for offer in self.offers]
        if len(set(named)) < len(named):
            raise ValueError("two offers are of the same provider and model")
        return self


class Registry(Mapping[str, GenerativeModel]):
    """Models by id and by alias."""

    def __init__(self, models: Mapping[str, GenerativeModel]) -> None:
        self._models = dict(models)
        self._by_name = {alias: model for model in models.values() for alias in model.aliases} | self._models

    def __getitem__(self, name: str) -> GenerativeModel:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def problems(self, model_id: str, inputs: Mapping[str, Any], provider: str | None = None) -> list[Problem]:
        """Return everything that keeps a model from being asked for this; `provider`: of that one alone.

        It is enough that one offer fits; where none does, the problems are those of the offer that comes nearest.
        """
        if "${" in model_id:
            return []  # known only when the job runs
        model = self._by_name.get(model_id)
        if model is None:
            message = f"there is no model '{model_id}'{did_you_mean(model_id, self._by_name)}"
            return [Problem("modelId", "unknown_model", message)]
        offers = matching_offers(model, provider)
        if not offers:
            named = ", ".join(dict.fromkeys(offer.provider for offer in model.offers))
            return [Problem("provider", "unknown_provider", f"{model.id} is offered by {named}, not by '{provider}'")]
        return min((validate_inputs(offer, inputs) for offer in offers), key=_unexpected_fields)


def _unexpected_fields(problems: list[Problem]) -> tuple[int, int]:
    return sum(problem.code == "unknown_input" for problem in problems), len(problems)


def matching_offers(model: GenerativeModel, provider: str | None) -> list[Offer]:
    """Return a model's offers in the order they are asked in; those of one provider alone where it is named."""
    return [offer for offer in model.offers if provider is None or "${" in provider or offer.provider == provider]


def validate_inputs(offer: Offer, inputs: Mapping[str, Any]) -> list[Problem]:
    """Return every input that an offer does not take as it is, and every one that it lacks."""
    problems: list[Problem] = []
    for name, value in inputs.items():
        parameter = offer.parameters.get(name)
        if parameter is None:
            taken = ", ".join(offer.parameters)
            near = did_you_mean(name, offer.parameters)
            message = f"{offer.model} takes no '{name}'{near or f'; it takes {taken}'}"
            problems.append(Problem(name, "unknown_input", message))
        elif not has_reference(value) and (wrong := parameter.problem(value)) is not None:
            problems.append(Problem(name, "invalid_value", wrong))
    lacking = [name for name, p in offer.parameters.items() if p.required and p.default is None and name not in inputs]
    return [*problems, *(Problem(name, "missing", f"{offer.model} needs it") for name in lacking)]


def to_provider_inputs(offer: Offer, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs by the provider's own names, with defaults and what goes along with every order."""
    ordered = dict(offer.fixed)
    for name, parameter in offer.parameters.items():
        value = inputs.get(name, parameter.default)
        if value is not None:
            ordered[parameter.to] = str(value) if parameter.as_text else value
    return ordered


def read_registry(own: Path | None = None) -> Registry:
    """Return the models that come with Callsheet, and those of a file of one's own, which go before.

    Raises ConfigurationError with every problem of that file.
    """
    stamp = own.stat().st_mtime_ns if own is not None and own.exists() else 0
    return _read(own, stamp)


@lru_cache(maxsize=4)
def _read(own: Path | None, _stamp: int) -> Registry:
    models = _models(files("callsheet.providers").joinpath("models.yaml").read_bytes(), "models.yaml")
    if own is None:
        return Registry(models)
    try:
        text = own.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The file of models {own} cannot be read: {error.strerror}") from None
    added = _models(text, os.fspath(own), frozenset(models))
    # Last, since of two models with the same alias the later one has it.
    return Registry({known: model for known, model in models.items() if known not in added} | added)


def _models(text: bytes, name: str, others: frozenset[str] = frozenset()) -> dict[str, GenerativeModel]:
    """Return the models of a file. Raises ConfigurationError with all that is wrong; `others` are ids that no alias may be."""
    try:
        read = yaml.safe_load(text) or []
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{name} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(read, list):
        raise ConfigurationError(f"{name} must be a list of models")
    models: dict[str, GenerativeModel] = {}
    wrong: list[str] = []
    for index, entry in enumerate(read):
        try:
            model = GenerativeModel.model_validate(entry)
        except ValidationError as error:
            wrong += [f"[{index}].{problem!r}" for problem in validation_problems(error, GenerativeModel)]
            continue
        taken = {known for other in models.values() for known in (other.id, *other.aliases)}
        doubled = [model.id] if model.id in taken else []
        doubled += [alias for alias in model.aliases if alias in taken | others]
        wrong += [f"[{index}]: '{word}' is another model already" for word in doubled]
        models[model.id] = model
    if wrong:
        raise ConfigurationError(f"{name} has {_counted(wrong)}:\n  " + "\n  ".join(wrong))
    return models


def _counted(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
