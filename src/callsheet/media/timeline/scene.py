"""Scenes: the parts of a video, one after another."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from callsheet.domain.media_source import MediaSource, is_source
from callsheet.domain.model import Model
from callsheet.media.geometry import Crop, Focus
from callsheet.media.timeline.overlay import Overlay, Title
from callsheet.media.timeline.transition import Transition
from callsheet.media.values import Color, Fit, Seconds

FilterName = Literal["grayscale", "blur", "brightness", "contrast", "saturation"]


class Motion(Model):
    """Camera motion over an image (Ken Burns effect)."""

    effect: Literal["zoom_in", "zoom_out", "pan_left", "pan_right", "pan_up", "pan_down"] = "zoom_in"
    amount: float = Field(0.1, gt=0, le=1, description="Share of the image that the camera moves over")


class Filter(Model):
    """A filter over the whole frame."""

    type: FilterName
    amount: float | None = Field(
        None,
        ge=0,
        le=10,
        description="blur: strength from 0 to 1, default 0.2; other filters: a factor, 1 is unchanged",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value


def _title_from_text(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class Scene(Model):
    """One part of the video: a video, an image, a solid color, or audio over the background."""

    name: str | None = Field(None, max_length=200, description="Name for messages and exports")
    src: MediaSource | None = Field(
        None,
        validation_alias=AliasChoices("src", "source", "path", "url", "video_path", "videoPath"),
        description="A file with audio only plays over the background",
    )
    color: Color | None = Field(
        None, validation_alias=AliasChoices("color", "colour"), description="A solid color instead of `src`"
    )
    type: Literal["video", "image", "color"] | None = Field(None, description="Default: from the file")
    start: Seconds | None = Field(
        None,
        description="Seconds from the start of the video. Default: the end of the scene before. Gaps show background",
    )
    trim_start: Seconds = Field(
        0.0,
        validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"),
        description="Start in the source video",
    )
    trim_end: Seconds | None = Field(
        None, validation_alias=AliasChoices("trimEnd", "cut_to", "cutTo"), description="End in the source video"
    )
    duration: Seconds | Literal["auto"] = Field(
        "auto",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. auto: the rest of a video, 4 s for an image or color. After the end of the video, its "
        "last frame stays visible",
    )
    speed: float = Field(
        1.0,
        ge=0.1,
        le=20,
        validation_alias=AliasChoices("speed", "playback_rate", "playbackRate"),
        description="2 plays twice as fast, 0.5 half as fast; the pitch stays",
    )
    fit: Fit | None = Field(None, description="Default: the fit of the output")
    focus: Focus = Field(default_factory=lambda: Focus.model_validate({}))
    crop: Crop | None = None
    background: Color | None = Field(
        None, description="Color beside an image or video that does not fill the frame. Default: that of the output"
    )
    volume: float = Field(1.0, ge=0, le=10, description="1 is unchanged")
    mute: bool = False
    fade_in: Seconds = Field(0.0, description="Length of the fade-in of video and audio in seconds")
    fade_out: Seconds = Field(0.0, description="Length of the fade-out of video and audio in seconds")
    motion: Motion | None = Field(None, description="Camera motion, for images only")
    filters: list[Filter] = Field(default_factory=list, max_length=10)
    title: Annotated[Title, BeforeValidator(_title_from_text)] | None = Field(
        None, description="A centered text, visible between the transitions of the scene"
    )
    overlays: list[Overlay] = Field(
        default_factory=list,
        max_length=100,
        description="Times are seconds from the start of the scene; the last one is on top",
    )
    transition: Transition | None = Field(None, description="Transition into the next scene")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if is_source(value):
            return {"src": value}
        if isinstance(value, dict):
            return {key: _expand_short_form(key, item) for key, item in value.items()}
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> "Scene":
        if (self.src is None) == (self.color is None):
            raise ValueError("a scene needs one of src and color")
        if (self.type == "color") != (self.color is not None) and self.type is not None:
            raise ValueError(f"type '{self.type}' is not possible for a scene with {'color' if self.color else 'src'}")
        if self.duration != "auto" and self.duration <= 0:
            raise ValueError("a scene needs a duration above 0")
        if self.trim_end is not None and self.duration != "auto":
            raise ValueError("give duration or trim_end, not both")
        if self.trim_end is not None and self.trim_end <= self.trim_start:
            raise ValueError(f"trim_end {self.trim_end:g} is not after trim_start {self.trim_start:g}")
        return self

    @property
    def effective_transition(self) -> Transition | None:
        """The transition into the next scene, unless its type is `none` or its duration is 0."""
        transition = self.transition
        is_effective = transition is not None and transition.type != "none" and transition.duration > 0
        return transition if is_effective else None


def _expand_short_form(key: str, value: Any) -> Any:
    if isinstance(value, str) and key == "transition":
        return {"type": value}
    if isinstance(value, str) and key == "motion":
        return {"effect": value}
    return value
