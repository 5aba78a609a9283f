"""Translation of a `/v1/videos` request to the params of `generate`."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic.alias_generators import to_camel

from callsheet.api.videos_size import inputs_for_size
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import BadParams, PlanRefused, Problem
from callsheet.providers.model_records import GenerativeModel, Parameter
from callsheet.providers.registry import Registry

_OPENAI_FIELDS = frozenset({"prompt", "model", "seconds", "size", "input_reference"})
_FIELD_OF_PARAM = {
    "modelId": "model",
    "duration": "seconds",
    "aspectRatio": "size",
    "resolution": "size",
    "image": "input_reference",
}
"""Param of `generate` → the request field that sets it."""
_PARAM_PATH = re.compile(r"^(executionPlan\.)?jobs\[0\](\.params)?(\.inputs)?\.?")
_SIZE = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")


@dataclass(frozen=True, slots=True)
class VideoParams:
    """A translated request."""

    params: dict[str, Any]
    """Params of `generate`."""
    requested: dict[str, str] = field(default_factory=dict)
    """Size and seconds as the client wrote them."""


def to_openai_errors(refused: PlanRefused) -> BadParams:
    """Return the problems of a plan as problems of the request that the plan was made from."""
    translated = []
    for problem in refused.problems:
        name = _PARAM_PATH.sub("", problem.path)
        translated.append(Problem(_FIELD_OF_PARAM.get(name, name), problem.code, problem.message))
    return BadParams(translated, count=refused.count)


def translate_request(
    registry: Registry, fields: Mapping[str, Any], *, uploaded_image: str | None, as_text: bool
) -> VideoParams:
    """Return the params for the fields of a request.

    `uploaded_image` is the storage key of the file sent as `input_reference`. With `as_text`, the values come from a
    form and are converted to the types of the model's parameters. Raises BadParams with every invalid field.
    """
    return _Translation(registry, fields, uploaded_image, as_text=as_text).result()


class _Translation:
    """The translation of one request. It collects all problems."""

    def __init__(
        self, registry: Registry, fields: Mapping[str, Any], uploaded_image: str | None, *, as_text: bool
    ) -> None:
        self._registry = registry
        self._fields = fields
        self._uploaded_image = uploaded_image
        self._as_text = as_text
        self._problems: list[Problem] = []
        self._params: dict[str, Any] = {}
        self._requested: dict[str, str] = {}

    def result(self) -> VideoParams:
        model = self._read_model()
        self._params["prompt"] = self._fields.get("prompt")
        self._params["image"] = self._read_reference()
        if model is not None:
            # The first offer of a model counts most, so its parameters overwrite those of later offers.
            parameters = {name: p for offer in reversed(model.offers) for name, p in offer.parameters.items()}
            self._read_seconds()
            self._read_size(parameters)
            self._params["inputs"] = self._read_inputs(parameters)
        if self._problems:
            raise BadParams(self._problems)
        params = {name: value for name, value in self._params.items() if value is not None}
        return VideoParams(_escape_references(params), self._requested)

    def _add_problem(self, path: str, code: str, message: str) -> None:
        self._problems.append(Problem(path, code, message))

    def _read_model(self) -> GenerativeModel | None:
        name = self._fields.get("model")
        video_models = [model.id for model in self._registry.values() if model.makes == "video"]
        if not isinstance(name, str) or name not in self._registry:
            known = did_you_mean(str(name), video_models) or f"; known models: {', '.join(video_models)}"
            self._add_problem("model", "model_not_found", f"there is no model '{str(name)[:100]}'{known}")
            return None
        model = self._registry[name]
        if model.makes != "video":
            self._add_problem("model", "model_not_found", f"{model.id} makes {model.makes}, not video")
            return None
        self._params["modelId"] = name
        return model

    def _read_reference(self) -> Any:
        if self._uploaded_image is not None:
            return f"storage:{self._uploaded_image}"
        given = self._fields.get("input_reference")
        if not isinstance(given, Mapping):
            return given
        if set(given) != {"image_url"}:
            self._add_problem("input_reference", "unsupported", "give {image_url}; file ids are not supported")
            return None
        if not isinstance(given["image_url"], str):
            self._add_problem("input_reference", "invalid_value", "image_url must be a text")
            return None
        return given["image_url"]

    def _read_seconds(self) -> None:
        given = self._fields.get("seconds")
        if given is None:
            return
        seconds = _finite_number(given)
        if seconds is None:
            self._add_problem("seconds", "invalid_value", f"must be a number of seconds, not {given!r:.60}")
            return
        self._params["duration"] = seconds
        self._requested["seconds"] = str(given)

    def _read_size(self, parameters: Mapping[str, Parameter]) -> None:
        given = self._fields.get("size")
        if given is None:
            return
        size = _SIZE.fullmatch(given) if isinstance(given, str) else None
        if size is None:
            self._add_problem("size", "invalid_value", f"must be a size such as 1280x720, not {given!r:.60}")
            return
        self._requested["size"] = size[0]
        if "size" in parameters:
            return  # The model has an input of this name; `_read_inputs` reads it.
        try:
            self._params |= inputs_for_size(int(size[1]), int(size[2]), parameters)
        except ValueError as error:
            self._add_problem("size", "invalid_value", str(error))

    def _read_inputs(self, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for field_name, value in self._fields.items():
            is_input = field_name not in _OPENAI_FIELDS or (field_name == "size" and "size" in parameters)
            if not is_input or value is None:
                continue
            name = field_name if field_name in parameters else to_camel(field_name)
            if self._params.get(name) is not None:
                message = f"{_FIELD_OF_PARAM.get(name, name)} already sets this value"
                self._add_problem(field_name, "conflicting_fields", message)
            parameter = parameters.get(name)
            inputs[name] = _convert(value, parameter) if self._as_text and parameter else value
        return inputs


def _convert(text: Any, parameter: Parameter) -> Any:
    """Return the value of a form field. A text that cannot be converted is returned as it is and rejected later."""
    converters: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "number": float,
        "boolean": {"true": True, "false": False}.__getitem__,
    }
    try:
        return converters[parameter.kind](text)
    except (KeyError, ValueError):
        return text


def _finite_number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _escape_references(value: Any) -> Any:
    """Return a value in which `${…}` is plain text and no reference to another job."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {name: _escape_references(item) for name, item in value.items()}
    return [_escape_references(item) for item in value] if isinstance(value, list) else value
