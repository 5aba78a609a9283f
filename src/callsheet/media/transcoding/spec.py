"""Transcode parameters and their validation."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec, Container, VideoCodec
from callsheet.media.encoding.encoders import Depth
from callsheet.media.transcoding.presets import PURPOSES, Purpose
from callsheet.media.values import BitRate, Color, Fit, FrameRate, Hardware, Preset, Quality, Resolution, Strict

Delivery = Container | Literal["hls"]
Hdr = Literal["auto", "keep", "tone_map"]

_FILE_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,12})?)\s*([kMG]?)(i?)B?", re.IGNORECASE)
_HLS_VIDEO_CODECS: tuple[VideoCodec, ...] = ("h264", "h265", "av1")

_RATE_CONTROL_FIELDS = frozenset({"quality", "crf", "bitrate", "target_size"})
_SIZE_FIELDS = frozenset({"width", "height", "resolution", "renditions"})


def read_bytes(value: Any) -> Any:
    """Return the number of bytes of a text such as `8 MB` or `8 MiB`. Other types are returned unchanged.

    Raises ValueError if the text is not a file size.
    """
    if not isinstance(value, str):
        return value
    if (match := _FILE_SIZE.fullmatch(value.strip())) is None:
        raise ValueError(f"'{value}' is not a file size: write bytes, or '8 MB', '700 kB', '1.5 GiB'")
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmg".index(match[2].lower() or " "))


FileSize = Annotated[int, BeforeValidator(read_bytes), Field(ge=10_000, le=10**12)]
"""Size in bytes."""


class Rendition(Model):
    """One of several sizes of a video. Unset fields use the value of the transcode."""

    name: (
        Annotated[
            str,
            TextForm(
                r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$",
                "1 to 40 letters, digits, '_' and '-', with a letter or digit first",
            ),
        ]
        | None
    ) = Field(
        None,
        description="Part of the file name. Default: the height, such as 720p",
    )
    resolution: Resolution | None = Field(None, description="Length of the shorter side, instead of width and height")
    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=63)
    bitrate: BitRate | None = None
    max_bitrate: BitRate | None = None

    @model_validator(mode="after")
    def _check_combinations(self) -> "Rendition":
        _raise_if_any([*_size_problems(self), *_rate_problems(self)])
        if not (self.resolution or self.width or self.height):
            raise ValueError("a rendition needs a resolution, width or height")
        return self


class TranscodeSpec(Model):
    """Format of the output. Without any parameters, streams that already match are copied without loss."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    purpose: Purpose | None = Field(
        None, description="Preset for a use or a platform. Explicit parameters override its values"
    )
    format: Delivery = Field(
        "mp4",
        validation_alias=AliasChoices("format", "output_format", "outputFormat"),
        description="Container. hls writes playlists and segments for adaptive streaming",
    )
    video_codec: VideoCodec | None = Field(
        None,
        validation_alias=AliasChoices("videoCodec", "video_codec", "codec"),
        description="Default: h264, or av1 in WebM",
    )
    quality: Quality | None = Field(None, description="Default: medium, if the video has to be encoded")
    crf: int | None = Field(None, ge=0, le=63, description="Constant rate factor of the codec; lower is better")
    bitrate: BitRate | None = Field(None, description="Video bit rate in bits per second, or '2.5M'")
    max_bitrate: BitRate | None = Field(None, description="Upper limit in addition to quality, crf or bitrate")
    target_size: FileSize | None = Field(
        None, description="Maximum size of the whole file in bytes, or '8 MB'", examples=["8 MB"]
    )
    passes: Literal[1, 2] | None = Field(
        None,
        description="Two passes distribute a bit rate better, and take twice the time. "
        "Default: 2 with a target size, otherwise 1",
    )
    width: int | None = Field(
        None, ge=16, le=8192, description="Pixels. With height, the video fits into both and keeps its aspect ratio"
    )
    height: int | None = Field(None, ge=16, le=8192)
    resolution: Resolution | None = Field(None, description="Length of the shorter side, instead of width and height")
    fit: Fit | None = Field(
        None, description="How the video fills exactly width and height if the aspect ratio differs"
    )
    background: Color = Field("#000000", description="Color of the bars if fit leaves space beside the video")
    upscale: bool | None = Field(
        None, description="Whether a smaller video is enlarged. Default: yes, except for renditions"
    )
    renditions: list[Resolution | Rendition] = Field(
        default_factory=list, max_length=12, description="Several sizes, made from one decode", examples=[["720p"]]
    )
    fps: FrameRate | None = Field(
        None,
        validation_alias=AliasChoices("fps", "frame_rate", "frameRate"),
        description="Default: the frame rate of the source",
    )
    max_fps: FrameRate | None = Field(None, description="Upper limit; a higher frame rate is reduced to it")
    preset: Preset | None = Field(
        None, description="Encoding speed, ultrafast to veryslow, for every codec. Slower presets make smaller files"
    )
    depth: Literal["auto"] | Depth = Field(
        "auto", description="Bits per color component. auto keeps 10, except for h264: few players support 10-bit h264"
    )
    hdr: Hdr = Field(
        "auto", description="auto keeps HDR if the codec is h265, vp9 or av1, and otherwise converts it to SDR"
    )
    hardware: Hardware = Field(
        "cpu", description="Hardware encoder, used only if a test encode succeeds; otherwise the CPU encodes"
    )
    audio_codec: AudioCodec | None = Field(None, description="Default: aac, or opus in WebM")
    audio_bitrate: BitRate | None = None
    audio_channels: Literal[1, 2, 6] | None = Field(
        None, description="Maximum number of channels; 6 keeps surround sound. Default: 2"
    )
    sample_rate: Literal[22050, 24000, 32000, 44100, 48000, 96000] | None = Field(
        None, description="Hertz. Default: 48000, if the audio has to be encoded"
    )
    mute: bool = Field(False, description="Removes the audio")
    strict: Strict = False
    segment_seconds: float = Field(4, ge=1, le=20, description="Duration of an HLS segment, in seconds")

    @model_validator(mode="after")
    def _check_combinations(self) -> "TranscodeSpec":
        resolved = self.resolved()
        checks = (
            _codec_problems,
            _size_problems,
            _rate_problems,
            _pass_problems,
            _color_problems,
            _rendition_problems,
            _audio_problems,
        )
        _raise_if_any([problem for check in checks for problem in check(resolved)])
        return self

    def resolved(self) -> "TranscodeSpec":
        """Return the spec with the defaults of its purpose for all parameters that are not set."""
        if self.purpose is None:
            return self
        given = self.model_fields_set
        # An explicit size or rate control replaces all preset values of its group.
        overridden = set(given)
        overridden |= {*_RATE_CONTROL_FIELDS, "max_bitrate"} if given & _RATE_CONTROL_FIELDS else set()
        overridden |= {*_SIZE_FIELDS, "fit", "upscale"} - given if given & _SIZE_FIELDS else set()
        defaults = {name: value for name, value in PURPOSES[self.purpose].items() if name not in overridden}
        if "format" in given:
            defaults = {name: value for name, value in defaults.items() if _is_supported(self.format, name, value)}
        return self.model_copy(update=defaults)

    @property
    def target_video_codec(self) -> VideoCodec:
        """The requested video codec, or the default of the container."""
        return self.video_codec or video_codecs_in(self.format)[0]

    @property
    def target_audio_codec(self) -> AudioCodec:
        """The requested audio codec, or the default of the container."""
        return self.audio_codec or audio_codecs_in(self.format)[0]

    @property
    def ladder(self) -> list[Rendition]:
        """The renditions, with resolutions expanded to renditions."""
        return [Rendition(resolution=r) if isinstance(r, str) else r for r in self.renditions]


def video_codecs_in(format: Delivery) -> tuple[VideoCodec, ...]:
    """Return the video codecs that a container supports, the default first."""
    return _HLS_VIDEO_CODECS if format == "hls" else codecs.VIDEO_CODECS[format]


def audio_codecs_in(format: Delivery) -> tuple[AudioCodec, ...]:
    """Return the audio codecs that a container supports, the default first."""
    return codecs.AUDIO_CODECS["mp4" if format == "hls" else format]


def _is_supported(format: Delivery, name: str, value: Any) -> bool:
    if name == "video_codec":
        return value in video_codecs_in(format)
    return name != "audio_codec" or value in audio_codecs_in(format)


def _raise_if_any(problems: list[str]) -> None:
    if problems:
        raise ValueError("; ".join(problems))


def _codec_problems(spec: TranscodeSpec) -> Iterator[str]:
    supported = ((spec.video_codec, video_codecs_in(spec.format)), (spec.audio_codec, audio_codecs_in(spec.format)))
    for codec, allowed in supported:
        if codec is not None and codec not in allowed:
            yield f"{spec.format} does not support {codec}; supported: {', '.join(allowed)}"
    worst = codecs.max_crf(spec.target_video_codec)
    for crf in [spec.crf, *(rendition.crf for rendition in spec.ladder)]:
        if crf is not None and crf > worst:
            yield f"crf {crf} is above {worst}, the maximum of {spec.target_video_codec}"


def _size_problems(spec: TranscodeSpec | Rendition) -> Iterator[str]:
    if spec.resolution is not None and (spec.width or spec.height):
        yield "give resolution, or width and height, not both"
    if isinstance(spec, TranscodeSpec) and spec.fit is not None and not (spec.width and spec.height):
        yield "fit needs width and height"


def _rate_problems(spec: TranscodeSpec | Rendition) -> Iterator[str]:
    given = [name for name in ("quality", "crf", "bitrate", "target_size") if getattr(spec, name, None) is not None]
    if len(given) > 1:
        yield f"give one of quality, crf, bitrate and target_size, not {' and '.join(given)}"
    if spec.bitrate is not None and spec.max_bitrate is not None and spec.max_bitrate < spec.bitrate:
        yield f"max_bitrate {spec.max_bitrate} is below the bitrate {spec.bitrate}"
    if "target_size" in given and spec.max_bitrate is not None:
        yield "give max_bitrate or target_size, not both"


def _pass_problems(spec: TranscodeSpec) -> Iterator[str]:
    if spec.passes == 2 and spec.hardware != "cpu":
        yield "two passes need the CPU encoder: omit hardware or passes"
    if spec.passes == 2 and not all(_bitrates(spec)):
        yield "two passes need a bitrate or a target_size: a constant quality needs one pass"


def _bitrates(spec: TranscodeSpec) -> list[int | None]:
    if not spec.renditions:
        return [spec.bitrate or spec.target_size]
    by_quality = [rendition.quality is not None or rendition.crf is not None for rendition in spec.ladder]
    return [
        None if constant_quality else rendition.bitrate or spec.bitrate
        for rendition, constant_quality in zip(spec.ladder, by_quality, strict=True)
    ]


def _color_problems(spec: TranscodeSpec) -> Iterator[str]:
    if spec.hdr != "keep":
        return
    if spec.target_video_codec == "h264":
        yield "players do not support HDR in h264; hdr 'keep' needs h265, vp9 or av1"
    if spec.depth == 8:
        yield "HDR needs a depth of 10"
    if spec.fit is not None:
        yield "give hdr 'keep' or fit, not both: fit supports SDR only"


def _rendition_problems(spec: TranscodeSpec) -> Iterator[str]:
    if spec.target_size is not None and spec.format == "hls":
        yield "target_size applies to a single file: give hls a bitrate"
    if not spec.renditions:
        return
    if spec.resolution or spec.width or spec.height or spec.fit:
        yield "give renditions, or one size, not both"
    if spec.target_size is not None:
        yield "target_size applies to a single file: give each rendition a bitrate"
    names = [rendition.name for rendition in spec.ladder if rendition.name]
    if len(set(names)) < len(names):
        yield f"the names of renditions must be unique: {', '.join(names)}"


def _audio_problems(spec: TranscodeSpec) -> Iterator[str]:
    if spec.target_audio_codec == "opus" and spec.sample_rate not in (None, 24_000, 48_000):
        yield f"opus does not support {spec.sample_rate} Hz; supported: 24000, 48000"
    if spec.target_size is not None and spec.target_audio_codec == "flac" and not spec.mute:
        yield "target_size needs an audio codec with a bit rate; flac has none"
    if spec.mute and (spec.audio_bitrate or spec.audio_channels or spec.sample_rate) and spec.purpose is None:
        yield "give mute or other audio parameters, not both"
