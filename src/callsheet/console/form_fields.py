"""Fields of forms, drawn from a JSON Schema: of the inputs of a plan, or of the params of an operation."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "multiline", "number", "choice", "boolean", "file", "list", "json"]
Schema = Mapping[str, Any]

_FILE = "media-source"
"""Format of a value that names a file."""
_LONG_TEXT = 200
"""A text that may be longer has several lines."""
_SCALARS = frozenset({"string", "number", "integer", "boolean"})
_MAX_REFERENCES = 20
"""References that are followed from one schema to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One field of a form."""

    name: str
    kind: Kind
    label: str
    description: str = ""
    is_required: bool = False
    types: frozenset[str] = frozenset()
    """JSON types that the value may have."""
    item_types: frozenset[str] = frozenset()
    """JSON types of the items of a list; none: not declared."""
    default: Any = None
    choices: Sequence[Any] = ()
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    unit: str = ""
    example: str = ""

    @property
    def key(self) -> str:
        """Name in the form. The prefix keeps it apart from other fields, such as the CSRF token."""
        return f"field.{self.name}"

    @property
    def hint(self) -> str:
        """What is allowed, such as `16 to 7,680 px`."""
        if self.kind != "number":
            return _FORMATS.get(self.kind, "")
        low, high = _number(self.minimum), _number(self.maximum)
        allowed = (
            f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
        )
        return f"{allowed} {self.unit}".strip()


_FORMATS: Mapping[str, str] = {"list": "One item per line, or a JSON list", "json": "JSON"}


def fields_of(schema: Schema) -> list[FormField]:
    """Return the fields of an object. A schema without declared properties is one field of JSON, named `params`."""
    properties = schema.get("properties")
    if not properties:
        return [FormField(name="", kind="json", label="Params", types=frozenset({"object"}), default={})]
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    return [_field(name, _resolved(declared, definitions), name in required) for name, declared in properties.items()]


def shown(value: Any) -> str:
    """Return a value as the text of a field."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) and item and "\n" not in item for item in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) else None)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"


def _field(name: str, schema: Schema, is_required: bool) -> FormField:
    parts = _alternatives(schema)
    types = frozenset(part["type"] for part in parts if isinstance(part.get("type"), str)) - {"null"}
    only: Schema = {**schema, **parts[0]} if len(parts) == 1 else schema
    examples = schema.get("examples") or [""]
    return FormField(
        name=name,
        kind=_kind(only, parts, types),
        label=_label(name, schema),
        description=schema.get("description", ""),
        is_required=is_required,
        types=types,
        item_types=frozenset({only["items"]["type"]}) if only.get("items", {}).get("type") in _SCALARS else frozenset(),
        default=schema.get("default"),
        choices=_choices(only),
        minimum=only.get("minimum"),
        maximum=only.get("maximum"),
        max_length=only.get("maxLength"),
        unit=schema.get("unit", ""),
        example=shown(examples[0]) if not isinstance(examples[0], dict | list) else "",
    )


def _kind(only: Schema, parts: Sequence[Schema], types: frozenset[str]) -> Kind:
    if any(part.get("format") == _FILE for part in parts) and "array" not in types:
        return "file"
    if _choices(only):
        return "choice"
    if types == {"boolean"}:
        return "boolean" if only.get("default") is not None or "anyOf" not in only else "choice"
    if types and types <= {"integer", "number"}:
        return "number"
    if types and types <= _SCALARS:
        return "multiline" if _is_long(only) else "text"
    if types == {"array"}:
        return "list" if _has_plain_items(only) else "json"
    return "json"


def _choices(only: Schema) -> Sequence[Any]:
    if "const" in only:
        return [only["const"]]
    if only.get("type") == "boolean" and "anyOf" in only and only.get("default") is None:
        return [True, False]
    return [value for value in only.get("enum", ()) if value is not None]


def _is_long(schema: Schema) -> bool:
    return int(schema.get("maxLength", 0)) > _LONG_TEXT or "\n" in shown(schema.get("default"))


def _has_plain_items(schema: Schema) -> bool:
    items = schema.get("items", {})
    return not items or items.get("type") in _SCALARS or items.get("format") == _FILE


def _alternatives(schema: Schema) -> list[Schema]:
    """Return the schemas of which a value has one, without null."""
    found = schema.get("anyOf") or schema.get("oneOf")
    if not found or schema.get("format") == _FILE:
        return [schema]
    parts = [part for each in found for part in _alternatives(each)]
    return [part for part in parts if part.get("type") != "null"] or [schema]


def _resolved(schema: Schema, definitions: Mapping[str, Schema], depth: int = 0) -> Schema:
    """Return a schema with its references replaced, so far as a field needs it."""
    if depth > _MAX_REFERENCES:
        return {}
    if reference := schema.get("$ref"):
        target = _resolved(definitions.get(str(reference).rpartition("/")[2], {}), definitions, depth + 1)
        # Title and description of the target are about all values of its type.
        target = {key: value for key, value in target.items() if key not in ("title", "description", "examples")}
        return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    found = dict(schema)
    for key in ("anyOf", "oneOf"):
        if key in found:
            found[key] = [_resolved(each, definitions, depth + 1) for each in found[key]]
    if isinstance(found.get("items"), Mapping):
        found["items"] = _resolved(found["items"], definitions, depth + 1)
    return found


def _label(name: str, schema: Schema) -> str:
    """Return the title that a person has written, else the name as words."""
    title = str(schema.get("title", ""))
    if title and title.replace(" ", "").lower() != name.replace("_", "").lower():
        return title
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).strip()
    return words[:1].upper() + words[1:].lower() if words else name
