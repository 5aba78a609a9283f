"""Plain messages for pydantic's validation errors: in the terms of JSON, without names of classes and functions."""

import reprlib
from typing import Any

_PREFIXES = ("Value error, ", "Assertion failed, ")
_MESSAGES = {
    "dict_type": "input should be a valid object",
    "mapping_type": "input should be a valid object",
    "model_type": "input should be a valid object",
    "dataclass_type": "input should be a valid object",
    "model_attributes_type": "input should be a valid object",
    "set_type": "input should be a valid list",
    "tuple_type": "input should be a valid list",
    "int_from_float": "input should be a whole number",
    "uuid_parsing": "input should be a valid UUID",
    "uuid_type": "input should be a valid UUID",
    "datetime_parsing": "input should be a date and time, such as 2026-11-22T09:00:00Z",
    "datetime_from_date_parsing": "input should be a date and time, such as 2026-11-22T09:00:00Z",
    "datetime_type": "input should be a date and time, such as 2026-11-22T09:00:00Z",
    "json_invalid": "the body is not valid JSON",
    "string_pattern_mismatch": "the text does not have the required form",
    "no_such_attribute": "unknown field",
}
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_short.maxlong = 40
_MAX_SHOWN = 80


def plain_message(item: Any) -> str:
    """Return the message of one item of `ValidationError.errors()`, without the given value."""
    kind, message = item["type"], str(item["msg"])
    if kind == "string_pattern_mismatch" and "pattern" not in item.get("ctx", {}):
        return message  # of a TextForm, which describes the form
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind == "union_tag_not_found":
        return f"the field {_discriminator(item)} is missing, which names the kind"
    if kind == "union_tag_invalid":
        return f"unknown kind '{item['ctx']['tag'][:100]}'; allowed: {item['ctx']['expected_tags']}"
    for prefix in _PREFIXES:
        message = message.removeprefix(prefix)
    return message[:1].lower() + message[1:]


def shown_value(value: Any) -> str:
    """Return a given value for a message, cut to 80 characters."""
    text = _short.repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "…"


def _discriminator(item: Any) -> str:
    name = str(item["ctx"]["discriminator"])
    return name if name.startswith("'") else "of the kind"
