"""Overlays above the scenes: images, videos and texts."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Discriminator, Field, Tag, model_validator

from callsheet.domain.media_source import MediaSource, is_source
from callsheet.domain.model import Model
from callsheet.media.subtitles.style import Position, TextStyle, read_position
from callsheet.media.values import Color, Fit, Seconds

Animation = Literal["none", "slide_left", "slide_right", "slide_up", "slide_down"]


class Offset(Model):
    """Offset from the position, as shares of the width and height of the video."""

    x: float = Field(0.0, ge=-2, le=2, description="To the right")
    y: float = Field(0.0, ge=-2, le=2, description="Down")


class OverlayBase(Model):
    """Fields of every overlay: when it is visible, and how it appears and disappears."""

    start: Seconds | None = Field(None, description="Seconds. Default: 0; on a track, the end of the clip before")
    duration: Seconds | Literal["end"] = Field(
        "end",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. end: to the end of the scene, the video, or the overlay's own file",
    )
    offset: Offset = Field(default_factory=lambda: Offset.model_validate({}))
    opacity: float = Field(1.0, ge=0, le=1)
    rotation: float = Field(0.0, ge=-360, le=360, description="Degrees clockwise")
    fade_in: Seconds = Field(0.0, description="Length of the fade-in in seconds")
    fade_out: Seconds = Field(0.0, description="Length of the fade-out in seconds")
    animation_in: Animation = Field(
        "none", description="Direction in which it slides in, during fadeIn or half a second"
    )
    animation_out: Animation = Field(
        "none", description="Direction in which it slides out, during fadeOut or half a second"
    )
    z: int = Field(
        0, ge=-100, le=100, description="Stacking order: a larger z is on top; for equal z, the later overlay"
    )

    @model_validator(mode="after")
    def _check_duration(self) -> "OverlayBase":
        if self.duration != "end" and self.duration <= 0:
            raise ValueError("an overlay needs a duration above 0")
        return self


class ChromaKey(Model):
    """Color that becomes transparent, such as a green screen."""

    color: Color = Field("#00ff00", validation_alias=AliasChoices("color", "colour"))
    similarity: float = Field(0.12, ge=0.01, le=1, description="How close to the color a pixel must be")
    blend: float = Field(0.05, ge=0, le=1, description="Softness of the edge")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"color": value} if isinstance(value, str) else value


class MediaOverlay(OverlayBase):
    """An image or video above the scenes."""

    type: Literal["image", "video"] | None = Field(None, description="Default: from the file")
    src: MediaSource = Field(validation_alias=AliasChoices("src", "source", "path", "url"))
    position: Annotated[Position, BeforeValidator(read_position)] = "center"
    scale: float | None = Field(None, gt=0, le=4, description="Width as a share of the width of the video")
    width: int | None = Field(None, ge=2, le=8192, description="Pixels")
    height: int | None = Field(None, ge=2, le=8192, description="Pixels")
    fit: Fit | None = Field(
        None, description="How it fills the box of width and height, or the frame. Default: it keeps its aspect ratio"
    )
    trim_start: Seconds = Field(0.0, validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"))
    speed: float = Field(1.0, ge=0.1, le=20, validation_alias=AliasChoices("speed", "playback_rate", "playbackRate"))
    volume: float = Field(1.0, ge=0, le=10, description="Volume of a video's audio; 1 is unchanged")
    mute: bool = False
    chroma_key: ChromaKey | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"src": value} if is_source(value) else value

    @model_validator(mode="after")
    def _check_size(self) -> "MediaOverlay":
        if self.scale is not None and (self.width or self.height):
            raise ValueError("give scale, or width and height, not both")
        return self


class TextOverlay(OverlayBase, TextStyle):
    """A text above the scenes."""

    type: Literal["text"] = "text"
    text: str = Field(min_length=1, max_length=2000)
    fade: Seconds | None = Field(None, description="Seconds; sets both fadeIn and fadeOut")


class Title(TextOverlay):
    """A text above one scene."""

    fade: Seconds | None = Field(0.3, description="Length of the fade-in and of the fade-out in seconds")


def _overlay_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "TextOverlay" if "text" in value or value.get("type") == "text" else "MediaOverlay"
    return "TextOverlay" if isinstance(value, TextOverlay) else "MediaOverlay"


Overlay = Annotated[
    Annotated[MediaOverlay, Tag("MediaOverlay")] | Annotated[TextOverlay, Tag("TextOverlay")],
    Discriminator(_overlay_tag),
]
"""An object with `text` is a text overlay, any other an image or video."""
