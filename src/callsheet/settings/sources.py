"""Media sources: which files and URLs a plan may use."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from callsheet.domain.durations import Duration
from callsheet.settings.folders import split_paths


class SourceSettings(BaseModel):
    """Rules and limits for media sources."""

    source_roots: Annotated[list[Path], NoDecode] = Field(
        default_factory=list,
        description="Folders whose files a plan may name as local paths, separated by ':'; empty: local paths are "
        "not allowed",
    )
    allow_http: bool = Field(False, description="Allow `http://` sources, not only `https://`")
    allow_private_addresses: bool = Field(
        False, description="Allow sources and webhook receivers on loopback and private networks"
    )
    source_max_bytes: int = Field(20 * 2**30, ge=1, description="Maximum size of a fetched source, in bytes")
    source_timeout: Duration = Field(timedelta(minutes=30), description="Timeout of the whole download of a source")

    @field_validator("source_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        return split_paths(value)
