"""Models, their offers by providers, and the parameters of an offer."""

from math import isfinite
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.providers.prices import Price

Kind = Literal["text", "integer", "number", "boolean", "file", "files"]
Makes = Literal["video", "image", "audio"]
WaitStrategy = Literal["webhook", "polling"]

LOCAL_COMFYUI = "comfyui"
"""Provider name of an offer that is a stored workflow of the local ComfyUI servers."""

_KIND_NAMES: dict[Kind, str] = {
    "text": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "file": "a media source",
    "files": "a list of media sources",
}


class Parameter(Model):
    """One input of a model."""

    to: str = Field(description="The provider's name of the parameter")
    kind: Kind = "text"
    required: bool = False
    default: Any = None
    choices: list[Any] | None = Field(None, min_length=1, description="The allowed values")
    minimum: float | None = Field(None, allow_inf_nan=False)
    maximum: float | None = Field(None, allow_inf_nan=False)
    max_length: int | None = Field(None, ge=1)
    as_text: bool = Field(False, description="Whether the provider expects a number as text")
    description: str = ""

    @model_validator(mode="after")
    def _check_consistency(self) -> "Parameter":
        if self.kind not in ("integer", "number") and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"minimum and maximum are for numbers, not for {_KIND_NAMES[self.kind]}")
        if self.kind != "text" and self.max_length is not None:
            raise ValueError(f"maxLength is for texts, not for {_KIND_NAMES[self.kind]}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"its minimum, {self.minimum:g}, is above its maximum, {self.maximum:g}")
        if problem := next(filter(None, map(self._kind_problem, self.choices or ())), None):
            # YAML reads 2 without quotes as a number.
            hint = "; texts like '2' need quotes" if self.kind == "text" else ""
            raise ValueError(f"one of its choices is invalid: {problem}{hint}")
        if self.default is not None and (problem := self.problem(self.default)) is not None:
            raise ValueError(f"its default is invalid: {problem}")
        return self

    def problem(self, value: Any) -> str | None:
        """Return why a value is invalid, or None for a valid one."""
        return self._kind_problem(value) or self._range_problem(value)

    def _kind_problem(self, value: Any) -> str | None:
        valid = {
            "text": isinstance(value, str),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value),
            "boolean": isinstance(value, bool),
            "file": _is_source(value),
            "files": isinstance(value, list) and all(map(_is_source, value)),
        }
        return None if valid[self.kind] else f"{_KIND_NAMES[self.kind]} is required, not {value!r:.60}"

    def _range_problem(self, value: Any) -> str | None:
        if self.choices is not None and value not in self.choices:
            return f"{value!r:.60} is not one of {', '.join(map(str, self.choices))}"
        if self.minimum is not None and value < self.minimum:
            return f"{value} is below the minimum of {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"{value} is above the maximum of {self.maximum:g}"
        if self.max_length is not None and len(value) > self.max_length:
            return f"it has {len(value):,} characters; the maximum is {self.max_length:,}"
        return None


class Offer(Model):
    """A model as one provider offers it."""

    provider: str
    model: str = Field(description="The provider's name of the model")
    version: str | None = None
    waiting: WaitStrategy = Field("webhook", description="How the end of a task is noticed, where both are possible")
    parameters: dict[str, Parameter]
    fixed: dict[str, Any] = Field(default_factory=dict, description="Input that is part of every submission")
    price: str | None = Field(None, description="Price information for people, with its date")
    unit_price: Price | None = Field(None, description="Price as a number; estimates and costs are computed from it")

    @model_validator(mode="after")
    def _check_unique_parameters(self) -> "Offer":
        names = [parameter.to for parameter in self.parameters.values()]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two parameters map to the provider's '{duplicates[0]}'")
        return self


class GenerativeModel(Model):
    """A model that a `generate` job can name by its id."""

    id: str = Field(pattern=r"^[a-zA-Z0-9][\w.\-/:]{0,120}$")
    name: str
    makes: Makes
    summary: str = ""
    aliases: list[str] = Field(default_factory=list)
    offers: list[Offer] = Field(
        min_length=1, description="In order of preference: the next is tried after a certain rejection"
    )

    @model_validator(mode="after")
    def _check_unique_offers(self) -> "GenerativeModel":
        names = [(offer.provider, offer.model, offer.version) for offer in self.offers]
        if len(set(names)) < len(names):
            raise ValueError("two offers have the same provider, model and version")
        return self

    def offers_by(self, provider: str | None) -> list[Offer]:
        """Return the offers in order of preference; only those of `provider`, unless it is None or a reference."""
        return [o for o in self.offers if provider is None or "${" in provider or o.provider == provider]


def _is_source(value: Any) -> bool:
    try:
        MediaSource.model_validate(value)
    except ValidationError:
        return False
    return True
