"""Base class of all records that enter or leave the system."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Base model: serialized in camelCase, parsed from camelCase or snake_case, unknown fields are rejected.

    Use it as the base class of an operation's params and result.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        # Responses contain every field, also those with a default.
        json_schema_serialization_defaults_required=True,
    )
