"""The JSON Schema of plans, in which a job's operation decides what its params may be."""

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.operation.catalog import Catalog
from callsheet.operation.contract import Operation

_Schema = dict[str, Any]

_REFERENCE = {"$ref": "#/$defs/Reference"}
_REFERENCE_DEFINITION: _Schema = {
    "type": "string",
    "pattern": r"\$\{[^{}]*\}",
    "title": "Reference",
    "description": "A value from another job's result, such as ${voice.audio}",
}
_ABOUT = ("title", "description", "default", "examples", "deprecated")
_MAPS = ("properties", "patternProperties")
_LISTS = ("anyOf", "allOf", "prefixItems")
_INSIDE = ("items", "additionalProperties", "contains", "unevaluatedProperties")


def plan_schema(catalog: Catalog) -> _Schema:
    """Return the schema of what clients submit: a submission, or in a file the plan alone.

    Wherever params take a value they also take a reference. Names are those of JSON, in camelCase.
    """
    operations = catalog.operations()
    models = [(model, "validation") for model in [Submission, *dict.fromkeys(op.params for op in operations)]]
    found, document = models_json_schema(models, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    refs = {model: schema["$ref"].rpartition("/")[2] for (model, _), schema in found.items()}
    plain = {refs[Submission], Plan.__name__, PlannedJob.__name__}
    definitions = {
        name: schema if name in plain else _with_references(schema) for name, schema in document["$defs"].items()
    }
    definitions["Reference"] = _REFERENCE_DEFINITION
    definitions[PlannedJob.__name__] = _job(definitions[PlannedJob.__name__], operations, refs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Callsheet plan",
        "type": "object",
        "if": {"required": ["jobs"]},
        "then": {"$ref": f"#/$defs/{Plan.__name__}"},
        "else": {"$ref": f"#/$defs/{refs[Submission]}"},
        "$defs": definitions,
    }


def _job(schema: _Schema, operations: list[Operation], refs: dict[Any, str]) -> _Schema:
    names = [{"const": name, "description": op.summary} for op in operations for name in (op.name, *op.aliases)]
    properties = schema["properties"] | {"operation": schema["properties"]["operation"] | {"oneOf": names}}
    return schema | {"properties": properties, "allOf": list(_choices(operations, refs))}


def _choices(operations: list[Operation], refs: dict[Any, str]) -> Iterator[_Schema]:
    for operation in operations:
        chosen = {"properties": {"operation": {"enum": [operation.name, *operation.aliases]}}}
        params = {"$ref": f"#/$defs/{refs[operation.params]}"}
        needed = {} if _takes_nothing(operation) else {"required": ["params"]}
        yield {"if": chosen, "then": {"properties": {"params": params}} | needed}


def _takes_nothing(operation: Operation) -> bool:
    return not any(field.is_required() for field in operation.params.model_fields.values())


def _with_references(schema: Any) -> Any:
    """Return a schema in which every value inside may be a reference instead."""
    if not isinstance(schema, dict):
        return schema
    new = {key: value for key, value in schema.items() if key not in ("oneOf", "discriminator")}
    if "oneOf" in schema:
        # A reference fits several kinds at once.
        new["anyOf"] = schema["oneOf"]
    for key in _LISTS:
        if key in new:
            new[key] = [_with_references(each) for each in new[key]]
    for key in _MAPS:
        if key in new:
            new[key] = {name: _or_reference(each) for name, each in new[key].items()}
    for key in _INSIDE:
        if isinstance(new.get(key), dict):
            new[key] = _or_reference(new[key])
    return new


def _or_reference(schema: Any) -> Any:
    inner = _with_references(schema)
    if not isinstance(inner, dict) or _takes_any_text(inner):
        return inner
    about = {key: value for key, value in inner.items() if key in _ABOUT}
    rest = {key: value for key, value in inner.items() if key not in _ABOUT}
    kinds = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return about | {"anyOf": [*kinds, _REFERENCE]}


def _takes_any_text(schema: _Schema) -> bool:
    return {key: value for key, value in schema.items() if key not in _ABOUT} in ({}, {"type": "string"})
