"""The answer that `content` asks a language model for: its form, and the messages that ask for it."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, Any
from unicodedata import category

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, field_validator

from callsheet.language_models.chat import Message
from callsheet.operations.content_params import MIN_SCENE, ContentParams, described

_CHARACTERS_PER_SECOND = 20
"""Of quick speech, in characters with spaces. It limits the texts of servers that keep to lengths."""
_MIN_TEXT = 40
"""Characters of a scene that are always allowed."""

_NO_OTHERS: dict[str, Any] = {"additionalProperties": False}

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class SceneAnswer(BaseModel):
    """A scene as the model answers it."""

    model_config = ConfigDict(json_schema_extra=_NO_OTHERS)

    text: Text = Field(max_length=2_000)
    prompt: Text = Field(max_length=600)
    seconds: float = Field(ge=0, le=1e6)

    @field_validator("text", "prompt", mode="before")
    @classmethod
    def _clean(cls, value: Any) -> Any:
        return clean(value)


class ContentAnswer(BaseModel):
    """All texts as the model answers them. Unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra=_NO_OTHERS)

    title: Text = Field(max_length=150)
    caption: Text
    hashtags: list[Annotated[str, StringConstraints(max_length=60)]] = Field(max_length=12)
    scenes: list[SceneAnswer]

    @field_validator("title", "caption", mode="before")
    @classmethod
    def _clean(cls, value: Any) -> Any:
        return clean(value)

    @field_validator("hashtags")
    @classmethod
    def _as_hashtags(cls, values: list[str]) -> list[str]:
        # Marks belong to letters, such as the vowel signs of Hindi.
        words = ("".join(c for c in value if category(c)[0] in "LMN" or c == "_") for value in values)
        return list(dict.fromkeys(f"#{word}" for word in words if word))


def clean(value: Any) -> Any:
    """Return a text without characters that cannot be stored: NUL and halves of surrogate pairs."""
    if not isinstance(value, str):
        return value
    return "".join(c for c in value if c != "\0" and not 0xD800 <= ord(c) <= 0xDFFF)


def answer_model(params: ContentParams) -> type[ContentAnswer]:
    """Return the form of an answer with the number of scenes and the length of the caption of the params."""
    return create_model(
        "ContentAnswer",
        __base__=ContentAnswer,
        caption=(Annotated[Text, Field(max_length=params.caption_length)], ...),
        scenes=(Annotated[list[SceneAnswer], Len(params.scenes, params.scenes)], ...),
    )


def answer_schema(params: ContentParams) -> dict[str, Any]:
    """Return the JSON Schema of the answer, without references, and with texts that fit the duration."""
    schema = answer_model(params).model_json_schema()
    schema["properties"]["scenes"]["items"] = deepcopy(schema.pop("$defs")["SceneAnswer"])
    per_scene = math.ceil(params.duration * _CHARACTERS_PER_SECOND / params.scenes)
    text = schema["properties"]["scenes"]["items"]["properties"]["text"]
    text["maxLength"] = min(max(per_scene, _MIN_TEXT), text["maxLength"])
    return schema


def messages_for(params: ContentParams) -> tuple[Message, ...]:
    """Return the instructions, which also describe the form of the answer in words, and the task."""
    system = (
        "You write short videos for social media. Answer with one JSON object, and nothing else.\n"
        f'Its fields: "title" (a few words); "caption" (text of the post, at most {params.caption_length} characters, '
        'without hashtags); "hashtags" (a list of texts); "scenes" (a list of exactly '
        f"{params.scenes} objects).\n"
        'Each scene has "text" (what the speaker says; no stage directions), "prompt" (in English: what the picture '
        'shows, with subject, place, light and camera) and "seconds" (a number).\n'
        f"All scenes together last {params.duration:g} seconds. People speak about 2.5 words in a second.\n"
        f'Write title, caption and texts in the language with the code "{params.language}".'
    )
    parts = {
        "Persona": described(params.persona),
        "Topic": params.topic,
        "Brief": described(params.brief),
        "Tone": params.tone,
        "Platform": params.platform,
    }
    task = "\n\n".join(f"{name}:\n{value}" for name, value in parts.items() if value)
    return (Message("system", system), Message("user", task))


def fit_seconds(weights: Sequence[float], duration: float) -> list[float]:
    """Return durations in proportion to the weights that are `duration` seconds together.

    Each is at least `MIN_SCENE` seconds: every scene gets that, and its share of the rest. Without weights, all are
    equal. They are rounded to hundredths of a second; the last one takes up the difference.

        fit_seconds([2, 6], 5)  # [1.5, 3.5]
    """
    total = sum(weights)
    shares = [weight / total if total > 0 else 1 / len(weights) for weight in weights]
    rest = duration - MIN_SCENE * len(weights)
    seconds = [round(MIN_SCENE + rest * share, 2) for share in shares[:-1]]
    return [*seconds, round(duration - sum(seconds), 2)]
