"""The facts of a creative, and the text that is embedded."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from callsheet.ads.identifiers import Identifier
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model

_MAX_ATTRIBUTES = 20_000
"""Characters of the attributes as JSON."""
_MAX_DEPTH = 4

Tag = Annotated[str, Field(min_length=1, max_length=100)]
Metric = Annotated[float, Field(allow_inf_nan=False)]


def _small(value: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(value, ensure_ascii=False))
    if size > _MAX_ATTRIBUTES:
        raise ValueError(f"must have at most {_MAX_ATTRIBUTES:,} characters as JSON, not {size:,}")
    return value


class CreativeFacts(Model):
    """What is known about a creative."""

    text: str | None = Field(
        None, max_length=5000, description="What it says: headline, primary text, call to action, or a summary"
    )
    tags: list[Tag] = Field([], max_length=100, examples=[["ugc", "summer sale"]])
    script: str | None = Field(None, max_length=50_000, description="What is spoken")
    attributes: Annotated[dict[str, Any], AfterValidator(_small)] = Field(
        {},
        description="Anything else, such as `hookType`, by names of your choice. Texts, numbers and lists are embedded "
        "with their names",
        examples=[{"hookType": "question", "visualStyle": "handheld"}],
    )
    metrics: dict[Identifier, Metric] = Field(
        {},
        max_length=50,
        description="Figures that the search returns, such as `roas`. They are not embedded",
        examples=[{"roas": 4.2, "ctr": 0.031}],
    )


class CreativeContent(CreativeFacts):
    """A creative: its facts, and its file."""

    src: MediaSource | None = Field(
        None,
        description="Its video or picture. Frames of the first minute are measured, and described in words: shape, "
        "length, colors, light, motion and cuts, but not what can be seen",
    )

    @model_validator(mode="after")
    def _check_content(self) -> "CreativeContent":
        if self.src is None and not embedded_text(self.facts(), None):
            raise ValueError("has nothing to embed: give text, tags, script, attributes or src")
        return self

    def facts(self) -> dict[str, Any]:
        """Return the facts as JSON values, without those that are not set."""
        names = set(CreativeFacts.model_fields)
        facts = self.model_dump(mode="json", by_alias=False, include=names, exclude_none=True)
        return {name: value for name, value in facts.items() if value}


class Creative(CreativeContent):
    """A creative to index."""

    ad_id: Identifier


def embedded_text(facts: Mapping[str, Any], look: str | None) -> str:
    """Return the text of the facts, and of how the creative looks, that is embedded. The script is last."""
    parts = [
        facts.get("text"),
        ", ".join(facts.get("tags", [])),
        "; ".join(_phrases(facts.get("attributes", {}))),
        look,
        facts.get("script"),
    ]
    return "\n".join(filter(None, parts))


def digest_of(facts: Mapping[str, Any], look: str | None) -> str:
    """Return a digest of all that is stored about a creative."""
    text = json.dumps([facts, look], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _phrases(value: Any, name: str = "", depth: int = 0) -> Iterator[str]:
    """Yield `hook type: question` for each value of nested objects and lists."""
    if depth > _MAX_DEPTH or value is None:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _phrases(each, f"{name} {_words(str(key))}".strip(), depth + 1)
    elif isinstance(value, list):
        words = [str(each) for each in value if isinstance(each, (str, int, float))]
        if words:
            yield f"{name}: {', '.join(words)}"
        for each in value:
            if isinstance(each, (Mapping, list)):
                yield from _phrases(each, name, depth + 1)
    else:
        yield f"{name}: {value}"


def _words(name: str) -> str:
    """Return a name in camelCase or snake_case as words."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return spaced.replace("_", " ").strip()
