"""Reads JSON from outside, in bounded time and memory, and without duplicate keys."""

import json
import re
from typing import Any

from callsheet.domain.document_limits import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_FIELDS,
    MAX_NUMBER_LENGTH,
    MAX_VALUES,
    DocumentError,
    check_size,
    exceeds,
)

_STRING_OR_VALUE = re.compile(r'"(?:[^"\\]|\\[\s\S])*+(?:"|\\?\Z)|[{\[,]')
_TOKEN = re.compile(r'"(?:[^"\\]|\\[\s\S])*+(?:"|\\?\Z)|[{}\[\]:]')


def read_json(raw: bytes) -> Any:
    """Return the data of a JSON document. Raises DocumentError, where possible with line and column."""
    text = ""
    try:
        text = raw.decode("utf-8-sig")
        _check_value_count(text)
        data = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_read_integer, parse_float=_read_float)
    except json.JSONDecodeError as error:
        raise DocumentError(f"not JSON: {_lower(error.msg)}", error.lineno, error.colno) from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise DocumentError(f"nested too deeply: {exceeds('levels', None, MAX_DEPTH)}", limit=True) from None
    except _DuplicateKey:
        raise _duplicate_key(text) from None
    except _LongNumber as error:
        line, column = _position(text, text.find(error.text))
        raise DocumentError(error.message, line, column, limit=True) from None
    check_size(data)
    return data


def _check_value_count(text: str) -> None:
    """Raise DocumentError for too many values before they use memory. Each follows a comma or an opening bracket."""
    if sum(text.count(mark) for mark in ",[{") <= MAX_VALUES:
        return
    count = 0
    for token in _STRING_OR_VALUE.finditer(text):
        count += not token[0].startswith('"')
        if count > MAX_VALUES:
            raise DocumentError(exceeds("values", None, MAX_VALUES), *_position(text, token.start()), limit=True)


class _DuplicateKey(Exception):
    pass


class _LongNumber(Exception):
    def __init__(self, text: str, message: str) -> None:
        self.text = text
        self.message = message


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_FIELDS:
        raise DocumentError(exceeds("fields in one object", len(pairs), MAX_FIELDS), limit=True)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _DuplicateKey
    return found


def _read_integer(text: str) -> int:
    if len(text) > MAX_DIGITS and (digits := len(text.lstrip("-"))) > MAX_DIGITS:
        raise _LongNumber(text, exceeds("digits in an integer", digits, MAX_DIGITS))
    return int(text)


def _read_float(text: str) -> float:
    if len(text) > MAX_NUMBER_LENGTH:
        raise _LongNumber(text, exceeds("characters in a number", len(text), MAX_NUMBER_LENGTH))
    return float(text)


def _duplicate_key(text: str) -> DocumentError:
    """Return the error for the first duplicate key of a valid JSON text. The parser does not know its position."""
    keys_of_open: list[set[str]] = []
    previous = None
    for token in _TOKEN.finditer(text):
        if token[0] in ("{", "["):
            keys_of_open.append(set())
        elif token[0] in ("}", "]"):
            keys_of_open.pop()
        elif token[0] == ":" and previous is not None:
            key = json.loads(previous[0])
            if key in keys_of_open[-1]:
                return DocumentError(f"duplicate key '{key[:100]}' in one object", *_position(text, previous.start()))
            keys_of_open[-1].add(key)
        previous = token
    return DocumentError("duplicate key in one object")


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
