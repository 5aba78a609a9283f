"""How long data is kept."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainSerializer, field_validator
from pydantic_settings import NoDecode

from callsheet.domain.retention import RetentionRules, parse_retention


class RetentionSettings(BaseModel):
    """How long data is kept."""

    retention: Annotated[RetentionRules, NoDecode, PlainSerializer(str)] = Field(
        default_factory=lambda: parse_retention("90d"),
        description="Time that ended executions are kept with their files: `90d`, with rules for statuses and API keys "
        "`90d,failed=30d,cancelled=7d,key:preview=1d`, or `off`",
    )

    @field_validator("retention", mode="before")
    @classmethod
    def _parse_retention(cls, value: Any) -> Any:
        return parse_retention(value) if isinstance(value, str) else value
