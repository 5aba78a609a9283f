"""Params and result of `content`."""

import json
from typing import Annotated, Any, Self

from pydantic import AliasChoices, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import Problem
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.domain.validation_problems import validation_error
from callsheet.settings import Settings

MIN_SCENE = 0.5
"""Seconds of the shortest scene."""
_MAX_TEXT = 20_000
"""Characters of the persona, and of the brief."""

Description = str | dict[str, Any]
"""A text, or an object whose fields describe something."""


class ContentParams(Model):
    """What to write. At least one of persona, topic and brief is required."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"topic": "A lighthouse at dusk", "duration": 20, "model": "llama3.2"}]}
    )

    persona: Description | None = Field(
        None, description="Who speaks: a text, or an object such as `{name: Mara, voice: dry humour}`"
    )
    topic: str | None = Field(
        None,
        min_length=1,
        max_length=2_000,
        validation_alias=AliasChoices("topic", "subject", "theme", "idea"),
        description="What the video is about",
    )
    brief: Description | None = Field(
        None,
        validation_alias=AliasChoices("brief", "context", "instructions"),
        description="Everything else to know: audience, facts, what to avoid",
    )
    language: Annotated[
        str, TextForm(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", "a language code such as en or pt-BR")
    ] = Field("en", description="Language of caption and script; prompts are always in English")
    duration: float = Field(
        30,
        gt=0,
        le=3600,
        validation_alias=AliasChoices("duration", "durationSec", "duration_sec"),
        description="Seconds of all scenes together",
    )
    scenes: int = Field(
        5,
        ge=1,
        le=50,
        validation_alias=AliasChoices("scenes", "sceneCount", "scene_count"),
        description="Number of scenes; the result has exactly as many",
    )
    tone: str | None = Field(None, min_length=1, max_length=200, examples=["warm"])
    platform: str | None = Field(
        None, min_length=1, max_length=100, examples=["instagram"], description="Where the video is published"
    )
    caption_length: int = Field(600, ge=20, le=5_000, description="Maximum characters of the caption")
    model: str | None = Field(
        None, min_length=1, max_length=200, description="Language model; default: CALLSHEET_LLM_MODEL"
    )
    max_tokens: int = Field(4_000, ge=50, le=100_000, description="Maximum tokens of one answer")
    tries: int = Field(3, ge=1, le=10, description="Answers that a run asks for, until one has the required form")
    temperature: float | None = Field(
        None, ge=0, le=2, description="Randomness of the texts; default: as the server sets it"
    )
    seed: int | None = Field(
        None, ge=0, lt=2**63, description="The same seed gives similar texts, if the server supports it"
    )

    @field_validator("persona", "brief")
    @classmethod
    def _check_length(cls, value: Description | None) -> Description | None:
        length = len(described(value))
        if length > _MAX_TEXT:
            raise ValueError(f"{length:,} characters; at most {_MAX_TEXT:,} are allowed")
        return value

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        problems = []
        if not (described(self.persona) or self.topic or described(self.brief)):
            problems.append(Problem("topic", "missing", "set at least one of persona, topic and brief"))
        if self.duration < MIN_SCENE * self.scenes:
            problems.append(
                Problem(
                    "duration",
                    "too_small",
                    f"{self.scenes} scenes need at least {MIN_SCENE * self.scenes:g} seconds; got {self.duration:g}",
                )
            )
        if self.model is None and isinstance(info.context, Settings) and info.context.llm_model is None:
            problems.append(Problem("model", "missing", "name a language model here, or in CALLSHEET_LLM_MODEL"))
        if problems:
            raise validation_error(problems, "content")
        return self


def described(value: Description | None) -> str:
    """Return a description as a text: the fields of an object are one line each."""
    if isinstance(value, dict):
        lines = (f"{name}: {_as_text(field)}" for name, field in value.items() if field not in (None, "", [], {}))
        return "\n".join(lines)
    return (value or "").strip()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class ContentScene(Model):
    """One scene of the video."""

    text: str = Field(description="What is said, in the language of the params")
    prompt: str = Field(description="What is seen: a prompt for a model of images or videos")
    seconds: float = Field(description="Duration of the scene")


class ContentResult(Model):
    """The texts of a video."""

    title: str
    caption: str = Field(description="Text of the post, without hashtags")
    hashtags: list[str] = Field(description="Each begins with #")
    script: str = Field(description="The texts of all scenes, one paragraph each")
    scenes: list[ContentScene]
    duration: float = Field(description="Seconds of all scenes together; that of the params")
    language: str
    file: Artifact = Field(description="The same as a JSON file")
    model: str = Field(description="The server's name of the model")
    tries: int = Field(description="Answers that were needed")
    prompt_tokens: int | None = Field(None, description="Tokens sent, if the server counts them")
    completion_tokens: int | None = Field(None, description="Tokens received, if the server counts them")
