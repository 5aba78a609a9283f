"""What lies over the film: pictures, videos and texts."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Discriminator, Field, Tag, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.subtitles.style import Position, TextStyle, read_position
from callsheet.media.values import Color, Fit, Seconds

Animation = Literal["none", "slide_left", "slide_right", "slide_up", "slide_down"]


class Offset(Model):
    """A way from the position, in shares of the film's width and height."""

    x: float = Field(0.0, ge=-2, le=2, description="To the right")
    y: float = Field(0.0, ge=-2, le=2, description="Down")


class Layer(Model):
    """When something lies over the film, and how it comes and goes."""

    start: Seconds | None = Field(None, description="Seconds. Unset: from the beginning; on a track, after the former")
    duration: Seconds | Literal["end"] = Field(
        "end",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. end: until the scene or film ends; of a video, no longer than it plays",
    )
    offset: Offset = Field(default_factory=lambda: Offset.model_validate({}))
    opacity: float = Field(1.0, ge=0, le=1)
    rotation: float = Field(0.0, ge=-360, le=360, description="Degrees clockwise")
    fade_in: Seconds = Field(0.0, description="Seconds to appear")
    fade_out: Seconds = Field(0.0, description="Seconds to disappear")
    animation_in: Animation = Field("none", description="It slides in this way, within fadeIn or half a second")
    animation_out: Animation = Field("none", description="It slides out this way, within fadeOut or half a second")
    z: int = Field(0, ge=-100, le=100, description="What has a larger one lies on top; among equals, the later one")

    @model_validator(mode="after")
    def _lasts(self) -> "Layer":
        if self.duration != "end" and self.duration <= 0:
            raise ValueError("an overlay needs a duration above 0")
        return self


class ChromaKey(Model):
    """A colour that is taken out, as of a green screen."""

    color: Color = Field("#00ff00", validation_alias=AliasChoices("color", "colour"))
    similarity: float = Field(0.12, ge=0.01, le=1, description="How near to the colour a pixel must be")
    blend: float = Field(0.05, ge=0, le=1, description="How soft the edge is")

    @model_validator(mode="before")
    @classmethod
    def _by_colour(cls, value: Any) -> Any:
        return {"color": value} if isinstance(value, str) else value


class PictureOverlay(Layer):
    """A picture or video over the film."""

    type: Literal["image", "video"] | None = Field(None, description="Unset: as found")
    src: MediaSource = Field(validation_alias=AliasChoices("src", "source", "path", "url"))
    position: Annotated[Position, BeforeValidator(read_position)] = "center"
    scale: float | None = Field(None, gt=0, le=4, description="Its width, as a share of the film's")
    width: int | None = Field(None, ge=2, le=8192, description="Pixels")
    height: int | None = Field(None, ge=2, le=8192, description="Pixels")
    fit: Fit | None = Field(
        None, description="How it fills the box of width and height, or without these the film. Unset: its own shape"
    )
    trim_start: Seconds = Field(0.0, validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"))
    speed: float = Field(1.0, ge=0.1, le=20, validation_alias=AliasChoices("speed", "playback_rate", "playbackRate"))
    volume: float = Field(1.0, ge=0, le=10, description="Of a video's sound")
    mute: bool = False
    chroma_key: ChromaKey | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"src": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_size(self) -> "PictureOverlay":
        if self.scale is not None and (self.width or self.height):
            raise ValueError("give scale, or width and height, not both")
        return self


class TextOverlay(Layer, TextStyle):
    """A text over the film."""

    type: Literal["text"] = "text"
    text: str = Field(min_length=1, max_length=2000)
    fade: Seconds | None = Field(None, description="In place of fadeIn and fadeOut, where they are the same")


class Title(TextOverlay):
    """A text over one scene."""

    fade: Seconds | None = Field(0.3, description="Seconds to appear, and to disappear")


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "TextOverlay" if "text" in value or value.get("type") == "text" else "PictureOverlay"
    return "TextOverlay" if isinstance(value, TextOverlay) else "PictureOverlay"


Overlay = Annotated[
    Annotated[PictureOverlay, Tag("PictureOverlay")] | Annotated[TextOverlay, Tag("TextOverlay")], Discriminator(_kind)
]
"""Told apart by whether there is a text."""
