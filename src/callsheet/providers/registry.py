"""The models that can be asked for by their ids: which providers offer them, and what they take."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from callsheet.domain.checking import did_you_mean, problems_in
from callsheet.domain.errors import Problem, SetupError
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model

Kind = Literal["text", "integer", "number", "boolean", "file", "files"]

COMMON = ("prompt", "negativePrompt", "image", "lastImage", "duration", "aspectRatio", "resolution", "seed")
"""Inputs that `generate` has fields for; a model may take others besides."""


class Parameter(Model):
    """One input of a model."""

    to: str = Field(description="The provider's own name for it")
    kind: Kind = "text"
    required: bool = False
    default: Any = None
    choices: list[Any] | None = Field(None, description="The only values that it may have")
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    as_text: bool = Field(False, description="Whether the provider wants a number written as text")
    description: str = ""

    def problem_with(self, value: Any) -> str | None:
        """Return why a value does not fit, or None when it does."""
        return self._wrong_kind(value) or self._out_of_bounds(value)

    def _wrong_kind(self, value: Any) -> str | None:
        fits = {
            "text": isinstance(value, str),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool),
            "boolean": isinstance(value, bool),
            "file": isinstance(value, str | dict | MediaSource),
            "files": isinstance(value, list),
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
            return f"{len(value)} characters are more than the {self.max_length} allowed"
        return None


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
    waiting: Literal["webhook", "polling"] = Field("webhook", description="How its end is learned of, where both work")
    parameters: dict[str, Parameter]
    fixed: dict[str, Any] = Field(default_factory=dict, description="What goes along with every order")
    price: str | None = Field(None, description="For people, with the day it was seen")


class GenerativeModel(Model):
    """Something that can be asked for by its id."""

    id: str = Field(pattern=r"^[a-zA-Z0-9][\w.\-/:]{0,120}$")
    name: str
    makes: Literal["video", "image", "audio"]
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

    def problems(self, model_id: str, inputs: Mapping[str, Any]) -> list[Problem]:
        """Return everything that keeps a model from being asked for this.

        An input fits when it fits the first offer; where another takes less, that one is not asked.
        """
        if model_id not in self._by_name:
            message = f"there is no model '{model_id}'{did_you_mean(model_id, self._by_name)}"
            return [Problem("modelId", "unknown_model", message)]
        return misfits(self[model_id].offers[0], inputs)


def misfits(offer: Offer, inputs: Mapping[str, Any]) -> list[Problem]:
    """Return every input that an offer does not take as it is, and every one that it lacks."""
    problems: list[Problem] = []
    for name, value in inputs.items():
        parameter = offer.parameters.get(name)
        if parameter is None:
            taken = ", ".join(offer.parameters)
            message = f"{offer.model} takes no '{name}'{did_you_mean(name, offer.parameters)}; it takes {taken}"
            problems.append(Problem(name, "unknown_input", message))
        elif isinstance(value, str) and "${" in value:
            continue  # known only when the job runs
        elif (wrong := parameter.problem_with(value)) is not None:
            problems.append(Problem(name, "does_not_fit", wrong))
    lacking = [name for name, p in offer.parameters.items() if p.required and p.default is None and name not in inputs]
    return [*problems, *(Problem(name, "missing", f"{offer.model} needs it") for name in lacking)]


def as_ordered(offer: Offer, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs by the provider's own names, with defaults and what goes along with every order."""
    ordered = dict(offer.fixed)
    for name, parameter in offer.parameters.items():
        value = inputs.get(name, parameter.default)
        if value is not None:
            ordered[parameter.to] = str(value) if parameter.as_text else value
    return ordered


def read_registry(own: Path | None = None) -> Registry:
    """Return the models that come with Callsheet, and those of a file of one's own, which go before.

    Raises SetupError with every problem of that file.
    """
    stamp = own.stat().st_mtime_ns if own is not None and own.exists() else 0
    return _read(own, stamp)


@lru_cache(maxsize=4)
def _read(own: Path | None, _stamp: int) -> Registry:
    models = _models(files("callsheet.providers").joinpath("models.yaml").read_text("utf-8"), "models.yaml")
    if own is not None:
        try:
            models |= _models(own.read_text("utf-8"), os.fspath(own))
        except OSError as error:
            raise SetupError(f"The file of models {own} cannot be read: {error.strerror}") from None
    return Registry(models)


def _models(text: str, name: str) -> dict[str, GenerativeModel]:
    try:
        read = yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        raise SetupError(f"{name} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(read, list):
        raise SetupError(f"{name} must be a list of models")
    models: dict[str, GenerativeModel] = {}
    wrong: list[str] = []
    for index, entry in enumerate(read):
        try:
            model = GenerativeModel.model_validate(entry)
        except ValidationError as error:
            wrong += [f"[{index}].{problem!r}" for problem in problems_in(error, GenerativeModel)]
            continue
        if model.id in models:
            wrong.append(f"[{index}].id: there are two models '{model.id}'")
        models[model.id] = model
    if wrong:
        raise SetupError(f"{name} has {len(wrong)} problems:\n  " + "\n  ".join(wrong))
    return models
