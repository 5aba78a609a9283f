"""The pieces of a film, one after another."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.geometry import Crop, Focus
from callsheet.media.timeline.overlay import Overlay, Title
from callsheet.media.timeline.transition import Transition
from callsheet.media.values import Color, Fit, Seconds

FilterName = Literal["grayscale", "blur", "brightness", "contrast", "saturation"]


class Motion(Model):
    """A slow camera over a still."""

    effect: Literal["zoom_in", "zoom_out", "pan_left", "pan_right", "pan_up", "pan_down"] = "zoom_in"
    amount: float = Field(0.1, gt=0, le=1, description="Share of the picture that the camera passes over")


class Filter(Model):
    """A change of the whole picture."""

    type: FilterName
    amount: float | None = Field(
        None,
        ge=0,
        le=10,
        description="blur: 0 to 1, share of the largest (0.2); the others: 1 leaves the picture as it is",
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value


def _title(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class Scene(Model):
    """One piece of the film: a video, a picture or a plain colour."""

    name: str | None = Field(None, max_length=200, description="For people; told in messages and exports")
    src: MediaSource | None = Field(
        None, validation_alias=AliasChoices("src", "source", "path", "url", "video_path", "videoPath")
    )
    color: Color | None = Field(
        None, validation_alias=AliasChoices("color", "colour"), description="A plain colour in place of `src`"
    )
    type: Literal["video", "image", "color"] | None = Field(None, description="Unset: as found")
    start: Seconds | None = Field(
        None, description="Seconds into the film; unset: right after the scene before. Gaps show the background"
    )
    trim_start: Seconds = Field(
        0.0,
        validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"),
        description="Where in the video it begins",
    )
    trim_end: Seconds | None = Field(
        None, validation_alias=AliasChoices("trimEnd", "cut_to", "cutTo"), description="Where in the video it ends"
    )
    duration: Seconds | Literal["auto"] = Field(
        "auto",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. auto: the rest of a video, 4 s of anything else. A longer one than the video holds "
        "its last picture",
    )
    speed: float = Field(
        1.0,
        ge=0.1,
        le=20,
        validation_alias=AliasChoices("speed", "playback_rate", "playbackRate"),
        description="2 plays twice as fast, 0.5 half as fast; the pitch stays",
    )
    fit: Fit | None = Field(None, description="Unset: that of the output")
    focus: Focus = Field(default_factory=lambda: Focus.model_validate({}))
    crop: Crop | None = None
    background: Color | None = Field(None, description="Where the picture leaves room; unset: that of the output")
    volume: float = Field(1.0, ge=0, le=10, description="1 leaves the sound as it is")
    mute: bool = False
    fade_in: Seconds = Field(0.0, description="Seconds in which picture and sound appear")
    fade_out: Seconds = Field(0.0, description="Seconds in which picture and sound disappear")
    motion: Motion | None = Field(None, description="For pictures only")
    filters: list[Filter] = Field(default_factory=list, max_length=10)
    title: Annotated[Title, BeforeValidator(_title)] | None = Field(
        None, description="A text in the middle, from when the scene stands alone until it passes into the next"
    )
    overlays: list[Overlay] = Field(
        default_factory=list, max_length=100, description="Times are seconds into the scene; the last one is on top"
    )
    transition: Transition | None = Field(None, description="Into the next scene")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"src": value}
        if isinstance(value, dict):
            return {key: _spelled_out(key, item) for key, item in value.items()}
        return value

    @model_validator(mode="after")
    def _one_picture(self) -> "Scene":
        if (self.src is None) == (self.color is None):
            raise ValueError("a scene needs one of src and color")
        if (self.type == "color") != (self.color is not None) and self.type is not None:
            raise ValueError(f"type '{self.type}' does not fit a scene of {'color' if self.color else 'src'}")
        if self.duration != "auto" and self.duration <= 0:
            raise ValueError("a scene needs a duration above 0")
        if self.trim_end is not None and self.duration != "auto":
            raise ValueError("give duration or trim_end, not both")
        if self.trim_end is not None and self.trim_end <= self.trim_start:
            raise ValueError(f"trim_end {self.trim_end:g} is not after trim_start {self.trim_start:g}")
        return self

    @property
    def passing(self) -> Transition | None:
        """The transition into the next scene, if it is one that takes time."""
        kind = self.transition
        return kind if kind is not None and kind.type != "none" and kind.duration > 0 else None


def _spelled_out(key: str, value: Any) -> Any:
    if isinstance(value, str) and key == "transition":
        return {"type": value}
    if isinstance(value, str) and key == "motion":
        return {"effect": value}
    return value
