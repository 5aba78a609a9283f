"""JSON Schema of plans. The schema of a job's params depends on its operation."""

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Operation

_Schema = dict[str, Any]

_REFERENCE = {"$ref": "#/$defs/Reference"}
_REFERENCE_DEFINITION: _Schema = {
    "type": "string",
    "pattern": r"\$\{[^{}]*\}",
    "title": "Reference",
    "description": "A value from another job's result, such as ${voice.audio}",
}
_ANNOTATIONS = ("title", "description", "default", "examples", "deprecated")
_SCHEMA_MAPS = ("properties", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "allOf", "prefixItems")
_SUBSCHEMAS = ("items", "additionalProperties", "contains", "unevaluatedProperties")


def plan_schema(catalog: Catalog) -> _Schema:
    """Return the schema of a submission or a plan.

    Every value inside params can also be a reference. Field names are in camelCase.
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
    return schema | {"properties": properties, "allOf": list(_params_by_operation(operations, refs))}


def _params_by_operation(operations: list[Operation], refs: dict[Any, str]) -> Iterator[_Schema]:
    for operation in operations:
        condition = {"properties": {"operation": {"enum": [operation.name, *operation.aliases]}}}
        params = {"$ref": f"#/$defs/{refs[operation.params]}"}
        required = {} if _has_no_required_params(operation) else {"required": ["params"]}
        yield {"if": condition, "then": {"properties": {"params": params}} | required}


def _has_no_required_params(operation: Operation) -> bool:
    return not any(field.is_required() for field in operation.params.model_fields.values())


def _with_references(schema: Any) -> Any:
    """Return a schema in which every nested value can also be a reference."""
    if not isinstance(schema, dict):
        return schema
    new = {key: value for key, value in schema.items() if key not in ("oneOf", "discriminator")}
    if "oneOf" in schema:
        # `oneOf` would fail: a reference matches several alternatives.
        new["anyOf"] = schema["oneOf"]
    for key in _SCHEMA_LISTS:
        if key in new:
            new[key] = [_with_references(each) for each in new[key]]
    for key in _SCHEMA_MAPS:
        if key in new:
            new[key] = {name: _or_reference(each) for name, each in new[key].items()}
    for key in _SUBSCHEMAS:
        if isinstance(new.get(key), dict):
            new[key] = _or_reference(new[key])
    return new


def _or_reference(schema: Any) -> Any:
    inner = _with_references(schema)
    if not isinstance(inner, dict) or _accepts_any_text(inner):
        return inner
    annotations = {key: value for key, value in inner.items() if key in _ANNOTATIONS}
    rest = {key: value for key, value in inner.items() if key not in _ANNOTATIONS}
    alternatives = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return annotations | {"anyOf": [*alternatives, _REFERENCE]}


def _accepts_any_text(schema: _Schema) -> bool:
    return {key: value for key, value in schema.items() if key not in _ANNOTATIONS} in ({}, {"type": "string"})
