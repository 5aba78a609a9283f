"""The params of an operation as text, from their JSON Schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_Schema = Mapping[str, Any]
_NAMES = {"media-source": "media source", "duration": "duration", "uuid": "UUID"}
_SOURCE = "./input.mp4"


class SchemaText:
    """Describes one JSON Schema with its definitions: of params, or of a result."""

    def __init__(self, schema: _Schema, *, is_input: bool = True) -> None:
        self._schema = schema
        self._is_input = is_input
        self._definitions: Mapping[str, _Schema] = schema.get("$defs", {})

    def sections(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """Yield the params, then each object inside them: its name, and the name, type and meaning of its fields."""
        yield "", self._fields(self._schema)
        for name in self._nested():
            yield name, self._fields(self._definitions[name])

    def example(self) -> Any:
        """Return the smallest params that the schema permits."""
        return self._example(self._schema)

    def _nested(self) -> list[str]:
        """Return the names of the objects inside the params, in the order in which they are met."""
        found: list[str] = []
        pending = [self._schema]
        while pending:
            for name in self._references(pending.pop(0)):
                if name not in found and "properties" in self._definitions[name]:
                    found.append(name)
                    pending.append(self._definitions[name])
        return found

    def _references(self, schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for each in schema:
                yield from self._references(each)
        elif isinstance(schema, dict) and not self._is_source(schema):
            if "$ref" in schema and not self._is_source(self._resolve(schema)):
                yield schema["$ref"].rpartition("/")[2]
            for key, each in schema.items():
                if key not in ("$defs", "discriminator"):
                    yield from self._references(each)

    def _fields(self, schema: _Schema) -> list[tuple[str, str, str]]:
        required = schema.get("required", ())
        return [
            (name, self.type_text(field), self._meaning(field, required=name in required))
            for name, field in schema.get("properties", {}).items()
        ]

    def _meaning(self, field: _Schema, *, required: bool) -> str:
        text = field.get("description") or self._resolve(field).get("description") or ""
        first = text.strip().split("\n\n")[0].replace("\n", " ")
        if not self._is_input:
            return first
        if required:
            return f"Required. {first}".strip()
        default = field.get("default")
        if default in (None, [], {}):
            return first
        return f"{first} (default: {json.dumps(default, ensure_ascii=False)})".strip()

    def type_text(self, schema: _Schema) -> str:
        """Return the type of a field, such as `list of Scene`."""
        resolved = self._resolve(schema)
        if self._is_source(schema) or self._is_source(resolved):
            return "media source"
        if choices := [*resolved.get("anyOf", ()), *resolved.get("oneOf", ())]:
            texts = [self.type_text(each) for each in choices if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(texts))
        if "$ref" in schema and "properties" in resolved:
            return str(schema["$ref"].rpartition("/")[2])
        return self._plain_type_text(resolved)

    def _plain_type_text(self, schema: _Schema) -> str:
        if "enum" in schema or "const" in schema:
            return ", ".join(str(each) for each in schema.get("enum", [schema.get("const")]))
        if schema.get("type") == "array":
            items = schema.get("items")
            return f"list of {self.type_text(items)}" if isinstance(items, dict) else "list"
        kind = _NAMES.get(schema.get("format", ""), str(schema.get("type", "any value")))
        low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
        if low is None and high is None:
            return kind
        return f"{kind} {'' if low is None else low}…{'' if high is None else high}"

    def _example(self, schema: _Schema) -> Any:
        resolved = self._resolve(schema)
        if self._is_source(schema) or self._is_source(resolved):
            return _SOURCE
        for holder in (schema, resolved):
            if holder.get("examples"):
                return holder["examples"][0]
        if choices := [*resolved.get("anyOf", ()), *resolved.get("oneOf", ())]:
            return self._example(choices[0])
        if "properties" in resolved:
            return {name: self._example(resolved["properties"][name]) for name in resolved.get("required", ())}
        if resolved.get("type") == "array":
            return [self._example(resolved["items"])] if isinstance(resolved.get("items"), dict) else []
        return self._plain_example(resolved)

    def _plain_example(self, schema: _Schema) -> Any:
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        low = schema.get("minimum", 1)
        return {"string": "text", "integer": low, "number": low, "boolean": True}.get(schema.get("type", ""), {})

    def _resolve(self, schema: _Schema) -> _Schema:
        if "$ref" in schema:
            return self._definitions.get(schema["$ref"].rpartition("/")[2], {})
        return schema

    def _is_source(self, schema: _Schema) -> bool:
        return schema.get("format") == "media-source"
