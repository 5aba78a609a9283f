"""Sound besides that of the scenes."""

from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.values import Seconds


class Duck(Model):
    """It steps back while the scenes make sound."""

    threshold: float = Field(0.03, ge=0.001, le=1, description="Sound of the scenes from which on it does")
    ratio: float = Field(6.0, ge=1, le=20)


class Soundtrack(Model):
    """Sound under the whole film."""

    src: MediaSource = Field(validation_alias=AliasChoices("src", "source", "path", "url"))
    volume: float = Field(1.0, ge=0, le=10)
    fade_in: Seconds = 0.0
    fade_out: Seconds = 0.0
    loop: bool = False
    trim_start: Seconds = Field(0.0, validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"))
    duck: Duck | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"src": value}
        if isinstance(value, dict) and isinstance(value.get("duck"), bool):
            return {**value, "duck": {} if value["duck"] else None}
        return value


class AudioClip(Soundtrack):
    """Sound at a place of its own: a voice, an effect."""

    start: Seconds | None = Field(None, description="Seconds. Unset: 0; on a track, after the former")
    duration: Seconds | Literal["end"] = Field(
        "end",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. end: as long as it plays, at most until the film ends",
    )
    speed: float = Field(1.0, ge=0.1, le=20, validation_alias=AliasChoices("speed", "playback_rate", "playbackRate"))
