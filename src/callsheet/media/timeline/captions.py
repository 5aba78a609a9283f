"""Captions: timed text that is burned into the video."""

from typing import Any

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.media_source import MediaSource, is_source
from callsheet.domain.model import Model
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.values import Seconds


class Cue(Model):
    """One caption."""

    start: Seconds
    end: Seconds
    text: str = Field(min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _check_order(self) -> "Cue":
        if self.end <= self.start:
            raise ValueError(f"a caption must end after its start; got {self.start:g} to {self.end:g}")
        return self


class Captions(Model):
    """Captions over the whole video, from a file or inline."""

    src: MediaSource | None = Field(
        None,
        validation_alias=AliasChoices("src", "source", "path", "url"),
        description="An SRT, VTT or ASS file, for example from a caption job; ASS keeps its own style",
    )
    cues: list[Cue] = Field(default_factory=list, max_length=20_000)
    style: TextStyle = Field(default_factory=lambda: TextStyle.model_validate({}))

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"src": value} if is_source(value) else value

    @model_validator(mode="after")
    def _check_source(self) -> "Captions":
        if (self.src is None) == (not self.cues):
            raise ValueError("captions need one of src and cues")
        return self
