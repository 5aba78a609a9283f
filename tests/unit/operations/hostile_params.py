"""Params with a hostile text in one string field, made from the JSON Schema of an operation."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


class ParamsMaker:
    """Makes params of one operation. `source` is a valid media source."""

    def __init__(self, schema: Schema, source: str) -> None:
        self._schema = schema
        self._source = source
        scene = {"src": source}
        cue = {"start": 0, "end": 0.2, "text": "x"}
        # What models require of each other, which their schema does not say.
        self._essential: dict[str, dict[str, Any]] = {
            "Scene": scene,
            "Timeline": {"scenes": [scene]},
            "RenderParams": {"scenes": [scene]},
            "Captions": {"cues": [cue]},
            "Cue": cue,
            "SplitParams": {"count": 2},
            "MuxParams": {"audio": []},
        }

    def with_text(self, text: str) -> Iterator[tuple[str, Any]]:
        """Yield the path of each string field, and params in which it is `text`; other fields are valid or absent."""
        yield from self._variants(self._schema, "", text, ())

    def _variants(self, node: Schema, path: str, text: str, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        name = node.get("$ref", "").rpartition("/")[2]
        if name:
            if name not in above:  # one level of a recursive type is enough
                yield from self._variants(self._schema["$defs"][name], path, text, (*above, name))
            return
        for key in ("anyOf", "oneOf", "allOf"):
            for option in node.get(key, ()):
                yield from self._variants(option, path, text, above)
        if node.get("type") == "string" and "enum" not in node and "const" not in node:
            yield path, text
        for key, field in node.get("properties", {}).items():
            for leaf, value in self._variants(field, f"{path}.{key}", text, above):
                yield leaf, {**self._required(node, without=key), key: value}
        for item in (node["items"],) if isinstance(node.get("items"), dict) else ():
            for leaf, value in self._variants(item, f"{path}[]", text, above):
                yield leaf, [value, *(self._valid(item) for _ in range(node.get("minItems", 1) - 1))]
        if isinstance(node.get("additionalProperties"), dict):
            for leaf, value in self._variants(node["additionalProperties"], f"{path}{{}}", text, above):
                yield leaf, {"key": value}

    def _required(self, node: Schema, *, without: str) -> dict[str, Any]:
        properties = node.get("properties", {})
        required = {key: self._valid(properties[key]) for key in node.get("required", ()) if key != without}
        return required | {k: v for k, v in self._essential.get(node.get("title", ""), {}).items() if k != without}

    def _valid(self, node: Schema) -> Any:
        if "$ref" in node:
            node = self._schema["$defs"][node["$ref"].rpartition("/")[2]]
        options = node.get("anyOf") or node.get("oneOf")
        if options:
            # A media source is an object or a text; the text is shorter.
            return self._valid(next((each for each in options if each.get("type") == "string"), options[0]))
        for key in ("default", "const"):
            if node.get(key) is not None:
                return node[key]
        if "enum" in node:
            return node["enum"][0]
        texts = {"uuid": "00000000-0000-0000-0000-000000000001"}
        kinds: dict[str, Any] = {
            "string": "a" * 64 if node.get("minLength") == 64 else texts.get(node.get("format", ""), self._source),
            "integer": node.get("minimum", 1),
            "number": node.get("minimum", node.get("exclusiveMinimum", 0) + 1),
            "boolean": True,
        }
        if node.get("type") == "array":
            return [self._valid(node["items"]) for _ in range(node.get("minItems", 1))]
        return kinds.get(node.get("type", ""), self._required(node, without=""))
