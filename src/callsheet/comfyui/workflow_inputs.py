"""The inputs of a stored workflow: validation of a job's values, and their JSON Schema."""

import random
from collections.abc import Mapping
from typing import Any

from callsheet.comfyui.graph import Graph, find_field, is_link
from callsheet.comfyui.workflows import InputSpec, Workflow
from callsheet.domain.errors import Problem

_MAX_SEED = 2**32 - 1
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "seed": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def resolve_inputs(workflow: Workflow, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the value of every input that is set in the graph, and every problem of the given values.

    Missing values are replaced with defaults. Files are not checked here.
    """
    specs = workflow.description.inputs
    problems = [_unknown_input(name, specs) for name in given if name not in specs]
    values: dict[str, Any] = {}
    for name, spec in specs.items():
        value = given.get(name)
        if value is None:
            value = _default(spec)
        if value is None:
            if spec.is_required:
                message = f"the workflow requires it: {_describe(spec)}"
                problems.append(Problem(f"inputs.{name}", "missing", message))
            continue
        reason = None if spec.is_file else _invalid_value(spec, value)
        if reason is not None:
            problems.append(Problem(f"inputs.{name}", "bad_value", f"{value!r}: {reason}"))
        values[name] = value
    return values, problems


def _default(spec: InputSpec) -> Any:
    if spec.default is None and spec.type == "seed":
        return random.randint(0, _MAX_SEED)  # noqa: S311 - not a secret
    return spec.default


def _unknown_input(name: str, specs: Mapping[str, InputSpec]) -> Problem:
    message = f"the workflow has no input '{name}'; its inputs: {', '.join(specs)}"
    return Problem(f"inputs.{name}", "unknown_input", message)


def _invalid_value(spec: InputSpec, value: Any) -> str | None:
    if spec.type == "choice":
        return None if value in (spec.options or ()) else f"expected one of {', '.join(spec.options or ())}"
    if not isinstance(value, _TYPES[spec.type]) or (isinstance(value, bool) and spec.type != "boolean"):
        return f"expected {_describe(spec)}"
    if not isinstance(value, bool) and isinstance(value, int | float):
        return _out_of_range(spec, value)
    return None


def _out_of_range(spec: InputSpec, value: float) -> str | None:
    below, above = spec.min is not None and value < spec.min, spec.max is not None and value > spec.max
    if below or above:
        return f"expected {_describe(spec)}"
    if spec.step and abs((value - (spec.min or 0)) / spec.step % 1) > 1e-9:
        return f"expected a step of {spec.step:g}, counted from {spec.min or 0:g}"
    return None


def _describe(spec: InputSpec) -> str:
    article = "an" if spec.type[0] in "aeiou" else "a"
    names = {"integer": "a whole number", "seed": "a whole number", "string": "text"}
    kind = names.get(spec.type, f"{article} {spec.type}")
    limits = [f"at least {spec.min:g}"] if spec.min is not None else []
    limits += [f"at most {spec.max:g}"] if spec.max is not None else []
    return " of ".join(filter(None, (kind, " and ".join(limits))))


def input_schema(workflow: Workflow) -> dict[str, Any]:
    """Return the JSON Schema of a workflow's inputs, for forms."""
    inputs = workflow.description.inputs
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _field_schema(workflow, spec) for name, spec in inputs.items()},
        "required": [name for name, spec in inputs.items() if spec.is_required],
    }


def _field_schema(workflow: Workflow, spec: InputSpec) -> dict[str, Any]:
    kinds = {"integer": "integer", "seed": "integer", "number": "number", "boolean": "boolean"}
    schema: dict[str, Any] = {"type": kinds.get(spec.type, "string"), "description": spec.description}
    if spec.is_file:
        schema |= {"format": "media-source", "contentMediaType": f"{spec.type}/*"}
    bounds = {"minimum": spec.min, "maximum": spec.max, "multipleOf": spec.step, "enum": spec.options}
    schema |= {key: value for key, value in bounds.items() if value is not None}
    default = spec.default if spec.default is not None else _graph_default(workflow.graph, spec)
    return schema if default is None else {**schema, "default": default}


def _graph_default(graph: Graph, spec: InputSpec) -> Any:
    field = find_field(graph, spec.to[0])
    value = graph[field[0]]["inputs"].get(field[1]) if field else None
    return None if spec.is_file or spec.type == "seed" or is_link(value) else value
