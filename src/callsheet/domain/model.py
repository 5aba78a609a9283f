"""The base of every record that crosses an edge of the system."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A record that is written in camelCase, is read in camelCase or snake_case, and refuses unknown fields.

    Use it as the base of an operation's parameters and results.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
    )
