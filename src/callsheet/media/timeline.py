"""The words of an edit: scenes one after another, with titles, captions and sound over them."""

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.style import TextStyle
from callsheet.media.words import Colour, Fit, FrameRate, LoudnessWish, Preset, Quality, Seconds

_XFADE = (
    "fade fadeblack fadewhite fadegrays fadefast fadeslow dissolve distance radial pixelize hblur zoomin "
    "wipeleft wiperight wipeup wipedown slideleft slideright slideup slidedown smoothleft smoothright "
    "smoothup smoothdown wipetl wipetr wipebl wipebr diagtl diagtr diagbl diagbr circleopen circleclose "
    "circlecrop rectcrop vertopen vertclose horzopen horzclose hlslice hrslice vuslice vdslice squeezeh "
    "squeezev coverleft coverright coverup coverdown revealleft revealright revealup revealdown hlwind "
    "hrwind vuwind vdwind "
)
TRANSITIONS = frozenset(_XFADE.split())
"""Names that FFmpeg's `xfade` knows; older builds lack the last twelve."""

# What editors call a cross-fade; xfade's own `dissolve` is a grainy one.
_FADE = {"crossfade", "cross_fade", "cross_dissolve", "crossdissolve", "smpte_dissolve", "xfade"}


def _read_transition_type(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("-", "_")
    name = "fade" if name in _FADE else name.replace("_", "")
    if name not in TRANSITIONS and name != "none":
        near = get_close_matches(name, [*TRANSITIONS, "none"], n=1)
        hint = f", did you mean '{near[0]}'?" if near else "; the names are those of FFmpeg's xfade, and 'none'"
        raise ValueError(f"unknown transition '{value}'{hint}")
    return name


class Transition(Model):
    """How a scene passes into the next. Both play at once meanwhile, so it shortens the whole."""

    type: Annotated[str, BeforeValidator(_read_transition_type)] = Field(
        "fade", description="A name of FFmpeg's xfade, or none", examples=["fade", "wipeleft", "circleopen"]
    )
    duration: Seconds = Field(0.5, description="Seconds")


class Motion(Model):
    """A slow camera over a still."""

    effect: Literal["zoom_in", "zoom_out", "pan_left", "pan_right", "pan_up", "pan_down"] = "zoom_in"
    amount: float = Field(0.1, gt=0, le=1, description="Share of the picture that the camera passes over")


class Title(TextStyle):
    """A text over one scene."""

    text: str = Field(min_length=1, max_length=2000)
    start: Seconds | None = Field(None, description="Seconds into the scene; unset: once the scene stands alone")
    duration: Seconds | None = Field(None, description="Unset: until the scene begins to pass into the next")
    fade: Seconds = Field(0.3, description="Seconds to appear, and to disappear")

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value


class Scene(Model):
    """One piece of the film: a video, a picture or a plain colour."""

    src: MediaSource | None = Field(
        None, validation_alias=AliasChoices("src", "source", "path", "url", "video_path", "videoPath")
    )
    color: Colour | None = Field(
        None, validation_alias=AliasChoices("color", "colour"), description="A plain colour in place of `src`"
    )
    type: Literal["video", "image", "color"] | None = Field(None, description="Unset: as found")
    trim_start: Seconds = Field(0.0, validation_alias=AliasChoices("trimStart", "trim", "cut_from", "cutFrom"))
    duration: Seconds | Literal["auto"] = Field(
        "auto",
        validation_alias=AliasChoices("duration", "length"),
        description="Seconds. auto: the rest of a video, 4 s of anything else. A longer one than the video holds "
        "its last picture",
    )
    fit: Fit | None = Field(None, description="Unset: that of the output")
    volume: float = Field(1.0, ge=0, le=10, description="1 leaves the sound as it is")
    motion: Motion | None = Field(None, description="For pictures only")
    title: Title | None = None
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


class Cue(Model):
    """One caption."""

    start: Seconds
    end: Seconds
    text: str = Field(min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "Cue":
        if self.end <= self.start:
            raise ValueError(f"a caption must end after its start; got {self.start:g} to {self.end:g}")
        return self


class Captions(Model):
    """Text burned in over the whole film, by its own times."""

    src: MediaSource | None = Field(
        None,
        validation_alias=AliasChoices("src", "source", "path", "url"),
        description="An SRT, VTT or ASS file; ASS keeps its own style",
    )
    cues: list[Cue] = Field(default_factory=list, max_length=20_000)
    style: TextStyle = Field(default_factory=lambda: TextStyle.model_validate({}))

    @model_validator(mode="after")
    def _one_origin(self) -> "Captions":
        if (self.src is None) == (not self.cues):
            raise ValueError("captions need one of src and cues")
        return self


class Duck(Model):
    """The soundtrack steps back while the scenes make sound."""

    threshold: float = Field(0.03, ge=0.001, le=1, description="Sound of the scenes from which on it does")
    ratio: float = Field(6.0, ge=1, le=20)


class Soundtrack(Model):
    """Sound under the whole film."""

    src: MediaSource = Field(validation_alias=AliasChoices("src", "source", "path", "url"))
    volume: float = Field(1.0, ge=0, le=10)
    fade_in: Seconds = 0.0
    fade_out: Seconds = 0.0
    loop: bool = False
    trim_start: Seconds = 0.0
    duck: Duck | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"src": value}
        if isinstance(value, dict) and isinstance(value.get("duck"), bool):
            return {**value, "duck": {} if value["duck"] else None}
        return value


class Output(Model):
    """What the film is to be. Odd widths and heights are made even."""

    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    fps: FrameRate = Field(30, validation_alias=AliasChoices("fps", "frame_rate", "frameRate"))
    fit: Fit = Field("cover", description="For scenes that do not say")
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51, description="x264's constant rate factor; lower is better")
    preset: Preset | None = Field(None, description="x264's; unset: that of the settings")

    @model_validator(mode="after")
    def _one_measure_of_quality(self) -> "Output":
        if self.quality is not None and self.crf is not None:
            raise ValueError("give quality or crf, not both")
        return self


class Timeline(Model):
    """A film: its scenes, what lies over them, and what it is to be."""

    scenes: list[Scene] = Field(min_length=1, max_length=1000, validation_alias=AliasChoices("scenes", "clips"))
    captions: Captions | None = None
    soundtrack: Soundtrack | None = None
    loudness: LoudnessWish | None = Field(
        None, description="LUFS to bring the sound to; unset: that of the settings, false: leave it", examples=[-16]
    )
    output: Output = Field(
        default_factory=lambda: Output.model_validate({}),
        validation_alias=AliasChoices("output", "output_format", "outputFormat"),
    )
    use_gpu: bool = Field(False, description="Encode by NVENC where a test encode succeeds, else by libx264")

    @model_validator(mode="after")
    def _last_scene_leads_nowhere(self) -> "Timeline":
        if self.scenes[-1].passing is not None:
            raise ValueError("the last scene has a transition, but there is no scene after it")
        return self
