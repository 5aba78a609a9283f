"""How long data is kept."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainSerializer, field_validator
from pydantic_settings import NoDecode

from callsheet.domain.durations import Duration
from callsheet.domain.retention import RetentionRules, parse_retention
from callsheet.settings.aliases import GIGABYTES


class RetentionSettings(BaseModel):
    """How long data is kept."""

    retention: Annotated[RetentionRules, NoDecode, PlainSerializer(str)] = Field(
        default_factory=lambda: parse_retention("90d"),
        description="Time that ended executions are kept with their files: `90d`, with rules for statuses and API keys "
        "`90d,failed=30d,cancelled=7d,key:preview=1d`, or `off`",
    )

    temp_max_age: Duration = Field(
        timedelta(days=7),
        ge=timedelta(hours=1),
        description="Time after which unchanged files in scratch spaces are deleted that no live process has. Folders "
        "of processes that have ended are deleted at once. `CLEANUP_AGE_DAYS` is in days",
    )
    temp_max_bytes: int = Field(
        50 * 10**9,
        ge=0,
        description="Maximum size of the scratch spaces of a machine, in bytes. Above it, what no live process has is "
        "deleted, oldest first; files of running jobs never are. `MAX_TEMP_SIZE_GB` is in gigabytes",
    )
    orphan_min_age: Duration = Field(
        timedelta(days=2),
        ge=timedelta(hours=1),
        description="Age from which a file in the storage that nothing names counts as an [orphan](retention.md)",
    )

    @field_validator("temp_max_bytes", mode="before")
    @classmethod
    def _parse_gigabytes(cls, value: Any) -> Any:
        if not isinstance(value, str) or not value.endswith(GIGABYTES):
            return value
        try:
            return int(Decimal(value.removesuffix(GIGABYTES)) * 10**9)
        except (InvalidOperation, OverflowError, ValueError):
            raise ValueError("MAX_TEMP_SIZE_GB must be a number of gigabytes, such as 50 or 0.5") from None

    @field_validator("retention", mode="before")
    @classmethod
    def _parse_retention(cls, value: Any) -> Any:
        return parse_retention(value) if isinstance(value, str) else value
