"""Requests to the preview scripts, and their results. Both cross the process boundary as JSON.

The module imports only the standard library, so that the scripts start quickly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ImageFormat = Literal["jpeg", "webp", "avif", "png"]
Accuracy = Literal["keyframe", "exact", "auto"]
"""`keyframe` decodes key frames only, `exact` decodes up to each requested time, `auto` decodes where it matters."""

ProgressCallback = Callable[[float], None]
"""Receives the completed share, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A media file, with the restrictions for opening it."""

    path: str
    demuxer: str | None
    """Forced demuxer; None detects the format."""
    options: dict[str, str]
    """Options of the demuxer, such as the protocol whitelist."""
    stream: int | None = None
    """Index of the stream to read; None: the first one of its kind."""
    start: float | None = None
    """The timestamp, in seconds, that counts as 0. None: that of the first frame."""
    decoder: str | None = None
    """The decoder of the video stream; None: the default one."""


@dataclass(frozen=True, slots=True)
class FramesRequest:
    """Single frames: `count` parts, every `interval` seconds, at `times`, or at scene changes."""

    limit: int
    """Maximum number of frames."""
    width: int
    """Pixels."""
    threshold: float
    """Minimum scene change, in percent of light and color."""
    count: int | None = None
    interval: float | None = None
    """Seconds."""
    times: list[float] | None = None
    """Seconds."""
    at: Literal["scene_changes"] | None = None


@dataclass(frozen=True, slots=True)
class PosterRequest:
    """One large image."""

    time: float | None = None
    """Seconds; None selects the best frame."""


@dataclass(frozen=True, slots=True)
class SpriteRequest:
    """Sprite sheets of `count` tiles, or of one tile every `interval` seconds. Both None: a default count."""

    limit: int
    """Maximum number of tiles."""
    columns: int
    width: int
    """Width of a tile, in pixels."""
    count: int | None = None
    interval: float | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class AnimationRequest:
    """A short silent animation, from `start` or of several highlights."""

    format: Literal["webp", "gif"]
    seconds: float
    fps: float
    width: int
    """Pixels."""
    highlights: int
    """Number of highlights without a `start`."""
    max_bytes: int
    start: float | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class StillsRequest:
    """Images of a video. Parts that are None are not made."""

    frames: FramesRequest | None = None
    poster: PosterRequest | None = None
    sprite: SpriteRequest | None = None
    animation: AnimationRequest | None = None
    format: ImageFormat = "jpeg"
    accuracy: Accuracy = "auto"


@dataclass(frozen=True, slots=True)
class StillsJob:
    """Input of the thumbnails script."""

    source: SourceFile
    request: StillsRequest
    folder: str
    """Output folder."""
    threads: int
    max_pixels: int
    """Maximum number of pixels of a frame."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StillsJob":
        """Return the job of a JSON object."""
        request = data["request"]
        parts = {
            "frames": FramesRequest(**request["frames"]) if request["frames"] else None,
            "poster": PosterRequest(**request["poster"]) if request["poster"] else None,
            "sprite": SpriteRequest(**request["sprite"]) if request["sprite"] else None,
            "animation": AnimationRequest(**request["animation"]) if request["animation"] else None,
        }
        return cls(**{**data, "source": SourceFile(**data["source"]), "request": StillsRequest(**{**request, **parts})})


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One frame."""

    file: str
    time: float
    """Seconds."""
    score: float | None
    """Quality of the frame; set if the best frame is the poster."""


@dataclass(frozen=True, slots=True)
class FramesResult:
    """All frames."""

    frames: list[FrameResult]
    requested: int
    """Number of frames before the limit."""


@dataclass(frozen=True, slots=True)
class SpriteResult:
    """Sprite sheets."""

    sheets: list[str]
    starts: list[float]
    """Start of the interval of each tile, in seconds."""
    end: float
    """End of the last interval, in seconds."""
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    requested: int
    """Number of tiles before the limit."""


@dataclass(frozen=True, slots=True)
class AnimationResult:
    """The animation."""

    file: str
    width: int
    """Pixels; smaller than requested if the file would exceed its size limit."""


@dataclass(frozen=True, slots=True)
class StillsResult:
    """Output of the thumbnails script. File names are relative to the output folder."""

    frames: FramesResult | None
    poster: str | None
    sprite: SpriteResult | None
    animation: AnimationResult | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StillsResult":
        """Return the result of a JSON object."""
        frames = data["frames"]
        return cls(
            FramesResult([FrameResult(**f) for f in frames["frames"]], frames["requested"]) if frames else None,
            data["poster"],
            SpriteResult(**data["sprite"]) if data["sprite"] else None,
            AnimationResult(**data["animation"]) if data["animation"] else None,
        )


@dataclass(frozen=True, slots=True)
class WaveformRequest:
    """An image of the audio."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    color: str
    background: str | None
    """None: transparent."""
    duration: float | None
    """Duration of the video, in seconds."""


@dataclass(frozen=True, slots=True)
class WaveformJob:
    """Input of the waveform script."""

    source: SourceFile
    request: WaveformRequest
    output: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "WaveformJob":
        """Return the job of a JSON object."""
        return cls(SourceFile(**data["source"]), WaveformRequest(**data["request"]), data["output"])


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image file of a contact sheet."""

    file: str
    label: str


@dataclass(frozen=True, slots=True)
class ContactSheetJob:
    """Input of the contact sheet script."""

    images: list[LabeledImage]
    columns: int
    heading: str
    """Text above the images. Its first part, up to two spaces, is bold."""
    bold_font: str
    regular_font: str
    output: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ContactSheetJob":
        """Return the job of a JSON object."""
        return cls(**{**data, "images": [LabeledImage(**image) for image in data["images"]]})
