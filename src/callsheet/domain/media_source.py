"""Media sources: references to input files."""

from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from pydantic import ConfigDict, RootModel, model_validator
from pydantic.json_schema import JsonSchemaValue

from callsheet.domain.artifacts import Artifact


class SourceKind(StrEnum):
    """The kinds of media source."""

    ARTIFACT = "artifact"
    URL = "url"
    DATA = "data"
    KEY = "key"
    PATH = "path"


class MediaSource(RootModel[Artifact | str]):
    """An input file: one of

    - an artifact of another job, by reference (`${voice.audio}`) or as `artifact:<id>`;
    - an `https://` URL (`http://` only where the settings allow it);
    - a file in the storage, as `storage:<key>`;
    - a data URI, `data:image/png;base64,…`;
    - a local path inside a folder that the worker allows (`source_roots`).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                "https://example.com/clip.mp4",
                "${voice.audio}",
                "storage:uploads/logo.png",
                "./intro.mp4",
            ]
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _validate_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            if not value.strip():
                raise ValueError("a media source must not be empty")
            if "\0" in value:
                raise ValueError("a media source must not contain a NUL character")
            if value.startswith("artifact:"):
                UUID(value.removeprefix("artifact:"))
        return value

    @property
    def kind(self) -> SourceKind:
        """The kind of source."""
        if isinstance(self.root, Artifact) or self.root.startswith("artifact:"):
            return SourceKind.ARTIFACT
        head = self.root[:8].lower()
        if head.startswith(("https://", "http://")):
            return SourceKind.URL
        if head.startswith("data:"):
            return SourceKind.DATA
        if head == "storage:":
            return SourceKind.KEY
        return SourceKind.PATH

    @property
    def artifact_id(self) -> UUID:
        """The id of the artifact; only valid for sources of kind ARTIFACT."""
        if isinstance(self.root, Artifact):
            return self.root.artifact_id
        return UUID(self.root.removeprefix("artifact:"))

    @property
    def text(self) -> str:
        """The source for messages: data URIs are truncated, credentials and query strings of URLs are removed."""
        if isinstance(self.root, Artifact):
            return f"artifact:{self.root.artifact_id}"
        if self.kind is SourceKind.DATA:
            return self.root[:32] + "…"
        if self.kind is SourceKind.URL:
            url = urlsplit(self.root)
            return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))
        return self.root

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> JsonSchemaValue:
        schema: JsonSchemaValue = handler(core_schema)
        handler.resolve_ref_schema(schema)["format"] = "media-source"
        return schema


def is_source(value: Any) -> bool:
    """Return whether a value is a source where an object with a source is expected: a text, or an artifact."""
    return isinstance(value, str) or (isinstance(value, dict) and not {"artifactId", "artifact_id"}.isdisjoint(value))
