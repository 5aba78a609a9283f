"""Audio besides the audio of the scenes: audio clips and the soundtrack."""

from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.media_source import MediaSource, is_source
from callsheet.domain.model import Model
from callsheet.media.values import Seconds


class Ducking(Model):
    """Ducking: the volume is reduced while the other audio is loud."""

    threshold: float = Field(
        0.03, ge=0.001, le=1, description="Level of the other audio above which the volume is reduced"
    )
    ratio: float = Field(6.0, ge=1, le=20, description="Compression ratio above the threshold")


class Soundtrack(Model):
    """Audio under the whole video."""

    src: MediaSource = Field(validation_alias=AliasChoices("src", "source", "path", "url"))
    volume: float = Field(1.0, ge=0, le=10)
    fade_in: Seconds = 0.0
    fade_out: Seconds = 0.0
    loop: bool = False
    trim_start: Seconds = Field(0.0, validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"))
    duck: Ducking | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if is_source(value):
            return {"src": value}
        if isinstance(value, dict) and isinstance(value.get("duck"), bool):
            return {**value, "duck": {} if value["duck"] else None}
        return value


class AudioClip(Soundtrack):
    """Audio with its own start: a voice, a sound effect."""

    start: Seconds | None = Field(None, description="Seconds. Default: 0; on a track, the end of the clip before")
    duration: Seconds | Literal["end"] = Field(
        "end",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. end: to the end of the file or the video",
    )
    speed: float = Field(1.0, ge=0.1, le=20, validation_alias=AliasChoices("speed", "playback_rate", "playbackRate"))
