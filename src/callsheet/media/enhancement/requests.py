"""Requests to the enhancement script. They cross the process boundary as JSON.

Times are integers in a time base: the stored timestamps of the source are kept exactly.
"""

from dataclasses import dataclass
from typing import Literal

from callsheet.media.thumbnails.preview_requests import SourceFile

Runtime = Literal["ncnn", "onnx"]
Device = Literal["auto", "cpu"]
"""`auto` is the GPU if there is one that the runtime can use."""
Ratio = tuple[int, int]
"""Numerator and denominator."""
VideoEncoder = Literal["libx264", "libx265"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model."""

    name: str
    runtime: Runtime
    weights: str
    """Path of the `.bin` or `.onnx` file."""
    graph: str | None = None
    """Path of the `.param` file. None for ONNX, which has one file."""


@dataclass(frozen=True, slots=True)
class Compute:
    """How a model is run."""

    threads: int
    """CPU threads. On the CPU, each one works on a frame of its own."""
    device: Device = "auto"
    tile: int = 512
    """Longest side of the part of a frame that the model gets at once, in pixels."""


@dataclass(frozen=True, slots=True)
class ColorTags:
    """The color metadata of a stream, by the numbers of ITU-T H.273; the range as FFmpeg numbers it."""

    matrix: int
    primaries: int
    transfer: int
    range: int
    """1: limited (16 to 235), 2: full (0 to 255)."""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """The video stream of a file."""

    file: SourceFile
    stream: int
    """Index of the video stream."""
    stored: ColorTags
    """The colors of the file."""
    color: ColorTags
    """The colors of the frames as models get them, and of the output: never HDR or wide gamut."""
    depth: int
    """Bits per color component."""
    rotation: int
    """Degrees by which players rotate the frames counterclockwise: 0, 90, 180 or 270."""
    mirrored: bool
    """Whether players mirror the frames left to right, before they rotate them."""
    pixel_aspect: Ratio
    """Width to height of a displayed pixel, after the rotation."""
    size: tuple[int, int]
    """Width and height of the first frame as it is stored. Other frames are fitted into it."""
    pixel_format: str
    """Of the first frame."""
    may_be_interlaced: bool
    max_pixels: int


@dataclass(frozen=True, slots=True)
class Part:
    """The frames with timestamps from `start` up to `end`, without the frame at `end`."""

    number: int
    start: int
    end: int | None
    """None: to the end of the video."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How the parts are encoded. All parts of a video have the same options."""

    encoder: VideoEncoder
    crf: int
    preset: str
    rate: Ratio
    """Frames per second, for the rate control and the distance of key frames."""
    threads: int


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """List the frames of a video, in parts of `part_frames` frames, and describe the model, if there is one."""

    source: VideoSource
    model: ModelFiles | None
    compute: Compute
    part_frames: int
    max_parts: int
    """With more, the parts are longer."""


@dataclass(frozen=True, slots=True)
class FaceRestoration:
    """How faces are restored after upscaling."""

    detector: ModelFiles
    restorer: ModelFiles
    weight: float
    """Share of the restored face in the result, up to 1."""


@dataclass(frozen=True, slots=True)
class UpscaleRequest:
    """Upscale parts of a video. Part number 7 is written to `7.mp4` in the folder."""

    source: VideoSource
    model: ModelFiles
    compute: Compute
    time_base: Ratio
    """Seconds per unit of the timestamps."""
    parts: list[Part]
    scale: float | None
    """Factor of width and height; None: that of the model."""
    encode: EncodeOptions
    folder: str
    faces: FaceRestoration | None = None


@dataclass(frozen=True, slots=True)
class InterpolateRequest:
    """Interpolate parts of a video: `factor` times as many frames, or `rate` frames per second. Files as above."""

    source: VideoSource
    model: ModelFiles
    compute: Compute
    time_base: Ratio
    """Of the source; the output has `output_time_base`."""
    output_time_base: Ratio
    parts: list[Part]
    first: int
    """Timestamp of the first frame of the video."""
    end: int
    """Timestamp of its end, after the last frame."""
    factor: int | None
    rate: Ratio | None
    encode: EncodeOptions
    folder: str


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """Write one part of a video to a file for a server: RGB without loss, 25 frames per second, no audio."""

    source: VideoSource
    part: Part
    threads: int
    output: str


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """Encode the frames that a server made of a part, to the file of the part."""

    source: VideoSource
    part: Part
    files: list[str]
    """Images, each a frame; or one video."""
    kind: Literal["images", "video"]
    times: list[int]
    """Timestamp of each frame from the start of the part."""
    time_base: Ratio
    received_size: tuple[int, int]
    """Width and height of each received frame."""
    size: tuple[int, int]
    """Even width and height of the output."""
    threads: int
    encode: EncodeOptions
    folder: str


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Upscale a still image to a PNG file."""

    source: SourceFile
    model: ModelFiles
    compute: Compute
    scale: float | None
    output: str
    max_pixels: int
    faces: FaceRestoration | None = None


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Join the parts, and copy all other streams of the source."""

    source: VideoSource
    parts: list[Part]
    time_base: Ratio
    """Of the timestamps of the parts here."""
    output_time_base: Ratio
    """Of the frames."""
    end: int
    """Timestamp of the end of the video."""
    folder: str
    output: str
    format: Literal["mp4", "mov", "matroska"]
    tags: dict[str, str]
    """Metadata of the output."""


Request = (
    ListingRequest | UpscaleRequest | InterpolateRequest | ExtractRequest | EncodeRequest | ImageRequest | JoinRequest
)
