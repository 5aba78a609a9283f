"""Inputs of plans: their declarations, and the insertion of their values as `${inputs.name}`.

    inputs:
      brief: {type: string, maxLength: 2000}
      seconds: {type: number, default: 15, minimum: 5}
    jobs:
      - {id: text, operation: content, params: {brief: "${inputs.brief}", duration: "${inputs.seconds}"}}

Values are inserted when the plan is submitted, with the same rules as references to results. A text of a client is
inserted literally: a `${` in it is not a reference.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from callsheet.domain import references
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import BadParams, PlanRefused, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.domain.validation_messages import shown_value

INPUTS = "inputs"
"""The name before the dot of a reference to an input. A plan with inputs has no job of this id."""
MAX_INPUTS = 100
_MAX_INSERTED = 16 * 2**20
"""Characters, roughly, that all values together insert into a plan."""

InputType = Literal["string", "integer", "number", "boolean", "file", "array", "object"]
InputName = Annotated[str, TextForm(r"^[A-Za-z][A-Za-z0-9_]{0,63}$", "1 to 64 letters, digits and '_', a letter first")]

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_REFERENCE_OR_ESCAPE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_WHOLE = re.compile(r"\$\{([^{}]*)\}")
_SOURCE: TypeAdapter[Any] = TypeAdapter(MediaSource)


class PlanInput(Model):
    """The declaration of an input of a plan. An input without a default is required."""

    type: InputType = Field("string", description="`file`: a URL, a stored file or an upload")
    title: str | None = Field(None, max_length=100, description="Label in forms")
    description: str | None = Field(None, max_length=1000)
    default: Any = Field(None, description="Value without a given one; without this field, the input is required")
    enum: list[Any] | None = Field(None, min_length=1, max_length=200, description="The allowed values")
    minimum: float | None = Field(None, description="Of a number")
    maximum: float | None = Field(None, description="Of a number")
    min_length: int | None = Field(None, ge=0, description="Of a text in characters, or of a list in items")
    max_length: int | None = Field(None, ge=0, description="Of a text in characters, or of a list in items")
    unit: str | None = Field(None, max_length=20, description="Of a number, for forms", examples=["s", "px"])
    examples: list[Any] | None = Field(None, max_length=20)

    @property
    def is_required(self) -> bool:
        """Whether a value must be given."""
        return "default" not in self.model_fields_set

    @model_validator(mode="after")
    def _check_default(self) -> "PlanInput":
        """A default that is not null, and each allowed value, must be valid."""
        if self.default is not None and (message := self.problem_of(self.default)):
            raise ValueError(f"default: {message}")
        for value in self.enum or ():
            if message := self._type_problem(value):
                raise ValueError(f"enum: {message}")
        return self

    def problem_of(self, value: Any) -> str | None:
        """Return what is wrong with a value; None if it is valid. Null is valid for an input whose default is null."""
        if value is None and not self.is_required and self.default is None:
            return None
        if message := self._type_problem(value):
            return message
        if self.enum is not None and value not in self.enum:
            allowed = ", ".join(shown_value(each) for each in self.enum)
            return f"must be one of {allowed}; got {shown_value(value)}"
        return self._range_problem(value)

    def _type_problem(self, value: Any) -> str | None:
        if self.type == "file":
            return _file_problem(value)
        types = _PYTHON_TYPES[self.type]
        if isinstance(value, types) and (self.type == "boolean" or not isinstance(value, bool)):
            return None
        return f"must be of type {self.type}; got {shown_value(value)}"

    def _range_problem(self, value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        measured, unit = (value, "") if is_number else (_length(value), " characters")
        low, high = (self.minimum, self.maximum) if is_number else (self.min_length, self.max_length)
        if isinstance(value, list):
            unit = " items"
        if measured is None:
            return None
        if low is not None and measured < low:
            return (
                f"must have at least {low}{unit}; got {measured}" if unit else f"must be at least {low:g}; got {value}"
            )
        if high is not None and measured > high:
            return (
                f"must have at most {high}{unit}; got {measured}" if unit else f"must be at most {high:g}; got {value}"
            )
        return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values, for forms and editors."""
        named = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"type"})
        if not self.is_required:
            named["default"] = self.default
        if self.type == "file":
            return {"format": "media-source", **named}
        if self.type == "array":
            named = {{"minLength": "minItems", "maxLength": "maxItems"}.get(k, k): v for k, v in named.items()}
        return {"type": self.type, **named}


def inputs_schema(inputs: Mapping[str, PlanInput]) -> dict[str, Any]:
    """Return the JSON Schema of the values of all inputs of a plan."""
    return {
        "type": "object",
        "properties": {name: declared.json_schema() for name, declared in inputs.items()},
        "required": [name for name, declared in inputs.items() if declared.is_required],
        "additionalProperties": False,
    }


def read_values(
    inputs: Mapping[str, PlanInput], given: Mapping[str, Any], path: str = INPUTS
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid values of the inputs, defaults included, and all problems of the given ones."""
    values: dict[str, Any] = {}
    problems = [
        Problem(f"{path}.{name}", "unknown_input", f"unknown input{did_you_mean(name, inputs)}")
        for name in given
        if name not in inputs
    ]
    for name, declared in inputs.items():
        if name in given:
            if message := declared.problem_of(given[name]):
                problems.append(Problem(f"{path}.{name}", "bad_value", message))
                continue
            values[name] = given[name]
        elif declared.is_required:
            problems.append(Problem(f"{path}.{name}", "missing", "is required"))
        else:
            values[name] = declared.default
    return values, problems


def undeclared_inputs(params: Any, inputs: Collection[str], path: str) -> Iterator[Problem]:
    """Yield a problem for each reference to an input that is not declared, and for each without a name."""
    for place, text, reference in references.find(params, path):
        if reference is None or reference.job != INPUTS:
            continue
        name = reference.steps[0] if reference.steps else None
        if not isinstance(name, str):
            yield Problem(place, "bad_reference", f"{text} must name an input, such as ${{inputs.name}}")
        elif name not in inputs:
            yield Problem(place, "bad_reference", f"{text}: there is no input '{name}'{did_you_mean(name, inputs)}")


class Insertion:
    """Inserts the values of inputs into params. References to inputs without a value stay."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._room = _MAX_INSERTED

    def into(self, params: Any, path: str) -> Any:
        """Return a copy of the params. Raises BadParams for a path that a value does not have.

        Raises PlanRefused when the values insert too much text.
        """
        if isinstance(params, dict):
            return {key: self.into(value, f"{path}.{key}") for key, value in params.items()}
        if isinstance(params, list):
            return [self.into(value, f"{path}[{index}]") for index, value in enumerate(params)]
        if not isinstance(params, str) or "${" not in params:
            return params
        return self._into_text(params, path)

    def _into_text(self, text: str, path: str) -> Any:
        if (whole := _WHOLE.fullmatch(text)) and self._names_value(whole[1]):
            return self._value(whole[1], path)

        done, end = "", 0
        for match in _REFERENCE_OR_ESCAPE.finditer(text):
            if match[1] is None or not self._names_value(match[1]):
                continue
            value = self._value(match[1], path)
            done = _joined(done, text[end : match.start()], path)
            done = _joined(done, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), path)
            end = match.end()
        return _joined(done, text[end:], path)

    def _names_value(self, inner: str) -> bool:
        reference = references.parse(inner)
        return (
            reference is not None
            and reference.job == INPUTS
            and bool(reference.steps)
            and reference.steps[0] in self._values
        )

    def _value(self, inner: str, path: str) -> Any:
        value = references.resolve(f"${{{inner}}}", {INPUTS: dict(self._values)}, path)
        escaped = _escaped(value)
        self._room -= _size(escaped)
        if self._room < 0:
            message = f"the values insert more than {_MAX_INSERTED:,} characters into the plan"
            raise PlanRefused([Problem(INPUTS, "too_large", message)])
        return escaped


def insert_values(params: Mapping[str, Any], insertion: Insertion, path: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return params with the values inserted, and the problems of paths that the values do not have."""
    inserted: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in params.items():
        try:
            inserted[name] = insertion.into(value, f"{path}.{name}")
        except BadParams as error:
            inserted[name] = value
            problems += error.problems
    return inserted, problems


def _file_problem(value: Any) -> str | None:
    try:
        _SOURCE.validate_python(value)
    except ValidationError:
        return f"must name a file: a URL, an artifact, or the source of an upload; got {shown_value(value)}"
    return None


def _joined(done: str, following: str, path: str) -> str:
    """Return two parts of a text as one. A `$` and a `{` that meet are no reference."""
    if not done.endswith("$"):
        return done + following
    if following.startswith("{"):
        return f"{done}${following}"
    if following.startswith("$"):
        # `$` before `${job.path}` would read as the escape `$${`, and nothing else means it.
        message = "a value that ends with '$' cannot stand directly before a reference; put a space between them"
        raise BadParams([Problem(path, "bad_value", message)])
    return done + following


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list) else None


def _escaped(value: Any) -> Any:
    """Return a value whose texts contain no references."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _size(inner) for key, inner in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return 1
