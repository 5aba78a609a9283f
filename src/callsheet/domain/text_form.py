"""Texts of a required form, with an error that describes the form instead of the regular expression."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, slots=True)
class TextForm:
    """Annotation of a text field: `Annotated[str, TextForm(r"^[0-9]+:[0-9]+$", "a ratio such as 16:9")]`.

    The pattern is part of the JSON Schema. The error of another text is `must be {meaning}`.
    """

    pattern: str
    meaning: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the form after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the pattern to the JSON Schema."""
        return handler(schema) | {"pattern": self.pattern}

    def _check(self, text: str) -> str:
        if re.search(self.pattern, text) is None or text.endswith("\n"):
            raise PydanticCustomError("string_pattern_mismatch", "must be {meaning}", {"meaning": self.meaning})
        return text
