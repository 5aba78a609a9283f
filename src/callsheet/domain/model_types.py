"""Navigation of the types that pydantic models declare."""

from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, RootModel


def unwrap(declared: Any) -> Iterator[Any]:
    """Yield the plain types that an annotation allows: unions, `Annotated` and root models are unwrapped."""
    origin = get_origin(declared)
    if origin is None and isinstance(declared, type) and issubclass(declared, RootModel):
        yield from unwrap(declared.model_fields["root"].annotation)
    elif hasattr(declared, "__metadata__"):
        yield from unwrap(get_args(declared)[0])
    elif origin is not None and (origin is UnionType or not isinstance(origin, type)):
        for member in get_args(declared):
            yield from unwrap(member)
    else:
        yield declared


def member_types(declared: Any, step: str | int) -> Iterator[Any]:
    """Yield the types of a member of a plain type: a field by name or alias, an item of a list, a value of a dict.

    A member of `Any`, or an extra field of a model that allows extra fields, has the type `Any`.
    """
    origin, args = get_origin(declared) or declared, get_args(declared)
    if declared in (Any, object):
        yield Any
    elif isinstance(origin, type) and issubclass(origin, BaseModel):
        for name, info in origin.model_fields.items():
            if step in (name, info.alias, info.serialization_alias):
                yield info.annotation
        if origin.model_config.get("extra") == "allow":
            yield Any
    elif isinstance(origin, type) and issubclass(origin, list | tuple) and isinstance(step, int):
        yield from args or [Any]
    elif isinstance(origin, type) and issubclass(origin, dict):
        yield args[1] if args else Any


def field_names(declared: Any) -> Iterable[str]:
    """Return the JSON names of a model's fields; empty for any other type."""
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return [info.alias or name for name, info in declared.model_fields.items()]
    return []
