"""Parses plans from JSON or YAML text."""

import json
import re
from typing import Any

import yaml

from callsheet.domain.errors import PlanRefused, Problem, TooLarge

_MAX_NODES = 2_000_000


def read_plan_text(text: str | bytes, *, max_bytes: int) -> Any:
    """Return the data of a JSON or YAML document.

    Raises TooLarge for more than `max_bytes`, and PlanRefused with line and column for a syntax error.
    """
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > max_bytes:
        raise TooLarge(f"The plan has {len(raw):,} bytes; the limit is {max_bytes:,} bytes")
    if raw.lstrip()[:1] in (b"{", b"["):
        return _parse_json(raw)
    return _parse_yaml(raw)


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_reject_duplicate_keys)
    except json.JSONDecodeError as error:
        raise _syntax_error(f"not JSON: {error.msg}", error.lineno, error.colno) from None
    except UnicodeDecodeError as error:
        raise _syntax_error(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _syntax_error("nested too deeply") from None


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise _syntax_error(f"duplicate key '{duplicate}' in one object")
    return found


def _parse_yaml(raw: bytes) -> Any:
    try:
        data = yaml.load(raw, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise _syntax_error(f"not YAML: {error.problem}", line, column) from None
    except (yaml.YAMLError, ValueError) as error:
        raise _syntax_error(f"not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise _syntax_error("nested too deeply") from None
    _reject_yaml_bomb(data)
    return data


class _Loader(yaml.SafeLoader):
    """YAML loader that keeps dates as text and rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"duplicate key '{key_node.value}'", problem_mark=key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _construct_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _construct_text)

# Scalars follow YAML 1.2. PyYAML implements 1.1, where `16:9` is the number 969, `no` is false, and `010` is eight.
_SCALAR_PATTERNS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _SCALAR_PATTERNS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_pattern, _first) in _SCALAR_PATTERNS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _reject_yaml_bomb(data: Any) -> None:
    """Reject a document with too many nodes after alias expansion (billion laughs attack)."""
    stack, count = [data], 0
    while stack:
        node = stack.pop()
        count += 1
        if count > _MAX_NODES:
            raise PlanRefused([Problem("", "too_large", "the YAML document is too large after alias expansion")])
        if isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _syntax_error(message: str, line: int | None = None, column: int | None = None) -> PlanRefused:
    position = f" (line {line}, column {column})" if line else ""
    return PlanRefused([Problem("", "unreadable", message + position)], "The plan is not valid JSON or YAML")
