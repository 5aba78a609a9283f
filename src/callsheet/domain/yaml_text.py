"""Reads YAML from outside, in bounded time and memory: JSON values, with the scalars of YAML 1.2.

The document is built from the events of the parser. So every limit is checked before memory is used, and an alias
costs as much as the values that it stands for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from callsheet.domain.document_limits import (
    MAX_ALIASES,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_FIELDS,
    MAX_NUMBER_LENGTH,
    MAX_VALUES,
    DocumentError,
    exceeds,
)

_MAX_TAG_DIRECTIVES = 10
"""The parser compares each with all others."""
_PREFIX = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a document with its place. `line` and `column` count from 1."""

    value: Any
    line: int
    column: int
    size: int
    """Values inside it and itself, with aliases replaced."""
    members: "dict[Any, Located] | list[Located] | None" = None


def read_yaml(raw: bytes) -> Any:
    """Return the data of a YAML document. Raises DocumentError, where possible with line and column."""
    return locate_yaml(raw).value


def locate_yaml(raw: bytes) -> Located:
    """Return the data of a YAML document with the place of each value. Raises DocumentError as `read_yaml` does."""
    if raw.count(b"%TAG") > _MAX_TAG_DIRECTIVES and raw.lstrip()[:1] == b"%":
        raise DocumentError(exceeds("%TAG directives", raw.count(b"%TAG"), _MAX_TAG_DIRECTIVES), limit=True)
    try:
        return _Reader(_Loader(raw)).document()
    except yaml.MarkedYAMLError as error:
        raise _error(f"not YAML: {error.problem}", error.problem_mark) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DocumentError(f"not YAML: {str(error).splitlines()[0]}") from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # without libyaml, it is slower
    """Parser and scalar types."""


# PyYAML implements YAML 1.1, where `16:9` is the number 969, `no` is false, and `010` is eight.
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
    _Loader.add_implicit_resolver(f"{_PREFIX}{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _read_integer(text: str) -> int:
    digits = len(text.lstrip("+-"))
    if digits > MAX_DIGITS:
        raise DocumentError(exceeds("digits in an integer", digits, MAX_DIGITS), limit=True)
    return int(text, 16 if "x" in text.lower() else 10)


def _read_float(text: str) -> float:
    if len(text) > MAX_NUMBER_LENGTH:
        raise DocumentError(exceeds("characters in a number", len(text), MAX_NUMBER_LENGTH), limit=True)
    return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1:] in "fFnN" else text)


_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_PREFIX}str": str,
    f"{_PREFIX}timestamp": str,  # dates stay texts, as in JSON
    f"{_PREFIX}value": str,
    f"{_PREFIX}null": lambda _: None,
    f"{_PREFIX}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{_PREFIX}int": _read_integer,
    f"{_PREFIX}float": lambda text: _read_float(text.lower()),
}
_MERGE = f"{_PREFIX}merge"


class _Reader:
    """Builds the data of one document from the events of a parser."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._anchors: dict[str, Located] = {}
        self._values = 0
        self._aliases = 0

    def document(self) -> Located:
        self._next()  # the start of the stream
        if isinstance(event := self._next(), yaml.StreamEndEvent):
            return Located(None, 1, 1, 1)
        root = self._value(self._next(), 0)
        self._next()  # the end of the document
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            raise _error("not YAML: a second document begins here; one is allowed", event.start_mark)
        return root

    def _next(self) -> Any:
        return self._parser.get_event()

    def _value(self, event: Any, depth: int) -> Located:
        if depth > MAX_DEPTH:
            message = f"nested too deeply: {exceeds('levels', None, MAX_DEPTH)}"
            raise _error(message, event.start_mark, limit=True)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(1, event)
        if isinstance(event, yaml.ScalarEvent):
            located = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            located = self._sequence(event, depth)
        else:
            located = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = located
        return located

    def _count(self, values: int, event: Any) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _error(
                f"{exceeds('values', None, MAX_VALUES)} (too large after alias expansion)", event.start_mark, limit=True
            )

    def _alias(self, event: Any) -> Located:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _error(exceeds("aliases", None, MAX_ALIASES), event.start_mark, limit=True)
        if (target := self._anchors.get(event.anchor)) is None:
            # An anchor is known at the end of its value, so that no value contains itself.
            message = f"not YAML: there is no complete value with the anchor '{event.anchor[:100]}' before this alias"
            raise _error(message, event.start_mark)
        self._count(target.size, event)
        return target

    def _scalar(self, event: Any) -> Located:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._parser.resolve(yaml.ScalarNode, event.value, event.implicit)
        mark = event.start_mark
        if tag == _MERGE:
            tag = f"{_PREFIX}str"
        if tag not in _SCALARS:
            raise _error(f"not YAML: the tag '{tag[:100]}' is not supported", mark)
        try:
            value = _SCALARS[tag](event.value)
        except DocumentError as error:
            raise _error(error.message, mark, limit=True) from None
        except (ValueError, KeyError):
            kind = tag.removeprefix(_PREFIX)
            raise _error(f"not YAML: '{event.value[:100]}' is not of the type {kind}", mark) from None
        return Located(value, mark.line + 1, mark.column + 1, 1)

    def _sequence(self, start: Any, depth: int) -> Located:
        _check_tag(start, "seq")
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return _collection([item.value for item in items], start, items)

    def _mapping(self, start: Any, depth: int) -> Located:
        _check_tag(start, "map")
        members: dict[Any, Located] = {}
        merged: list[dict[Any, Located]] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event)
            value = self._value(self._next(), depth + 1)
            if key == "<<" and event.implicit[0]:
                merged += self._merged(value, event)
            elif key in members:
                raise _error(f"not YAML: duplicate key '{str(key)[:100]}'", event.start_mark)
            else:
                members[key] = value
        for mapping in merged:
            for key, value in mapping.items():
                members.setdefault(key, value)
        return _collection({key: member.value for key, member in members.items()}, start, members)

    def _key(self, event: Any) -> Any:
        if not isinstance(event, yaml.ScalarEvent):
            raise _error("not YAML: a key must be a text", event.start_mark)
        key = self._scalar(event).value
        # JSON has text keys only. `1: x` and `yes: x` keep what was written.
        return key if isinstance(key, str) else event.value

    def _merged(self, value: Located, event: Any) -> list[dict[Any, Located]]:
        """Return the mappings of a merge key `<<`, of which the first has precedence."""
        mappings = []
        for each in value.members if isinstance(value.members, list) else [value]:
            if not isinstance(each.members, dict):
                raise _error("not YAML: `<<` needs a mapping, or a list of mappings", event.start_mark)
            mappings.append(each.members)
        self._count(sum(map(len, mappings)), event)
        return mappings


def _collection(value: Any, start: Any, members: "dict[Any, Located] | list[Located]") -> Located:
    if isinstance(members, dict) and len(members) > MAX_FIELDS:
        message = exceeds("fields in one object", len(members), MAX_FIELDS)
        raise _error(message, start.start_mark, limit=True)
    inner = members.values() if isinstance(members, dict) else members
    mark = start.start_mark
    return Located(value, mark.line + 1, mark.column + 1, 1 + sum(each.size for each in inner), members)


def _check_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", f"{_PREFIX}{kind}"):
        raise _error(f"not YAML: the tag '{event.tag[:100]}' is not supported", event.start_mark)


def _error(message: str, mark: Any, *, limit: bool = False) -> DocumentError:
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    return DocumentError(message, line, column, limit=limit)
