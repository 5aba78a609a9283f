"""What is asked of a transcode."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec, Container, VideoCodec
from callsheet.media.encoding.encoders import Depth
from callsheet.media.transcoding.presets import PURPOSES, Purpose
from callsheet.media.values import BitRate, Color, Fit, FrameRate, Hardware, Preset, Quality, Resolution

Delivery = Container | Literal["hls"]
Hdr = Literal["auto", "keep", "tone_map"]

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)B?", re.IGNORECASE)
_IN_HLS: tuple[VideoCodec, ...] = ("h264", "h265", "av1")

_RATES = frozenset({"quality", "crf", "bitrate", "target_size"})
_SIZES = frozenset({"width", "height", "resolution", "renditions"})


def read_bytes(value: Any) -> Any:
    """Return bytes for a text such as `8 MB` or `8 MiB`; anything else is passed through."""
    if not isinstance(value, str):
        return value
    if (match := _BYTES.fullmatch(value.strip())) is None:
        raise ValueError(f"'{value}' is not a file size: write bytes, or '8 MB', '700 kB', '1.5 GiB'")
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmg".index(match[2].lower() or " "))


FileSize = Annotated[int, BeforeValidator(read_bytes), Field(ge=10_000, le=10**12)]
"""Bytes."""


class Rendition(Model):
    """One of several sizes of a video. What it leaves unset is as for the others."""

    name: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$", description="Part of its file's name; unset: such as 720p"
    )
    resolution: Resolution | None = Field(None, description="The shorter side, in place of width and height")
    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=63)
    bitrate: BitRate | None = None
    max_bitrate: BitRate | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> "Rendition":
        _refuse([*_in_sizes(self), *_in_rates(self)])
        if not (self.resolution or self.width or self.height):
            raise ValueError("give a rendition its resolution, width or height")
        return self


class TranscodeSpec(Model):
    """What the video is to become. With nothing asked for, what fits already is passed on without loss."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    purpose: Purpose | None = Field(
        None, description="Sets the parameters that are not given: for a use, or for the platform of that name"
    )
    format: Delivery = Field(
        "mp4",
        validation_alias=AliasChoices("format", "output_format", "outputFormat"),
        description="hls makes playlists and segments, for players that choose among renditions",
    )
    video_codec: VideoCodec | None = Field(
        None,
        validation_alias=AliasChoices("videoCodec", "video_codec", "codec"),
        description="Unset: h264, or av1 in WebM",
    )
    quality: Quality | None = Field(None, description="Unset: medium, where the picture has to be encoded")
    crf: int | None = Field(None, ge=0, le=63, description="The codec's constant rate factor; lower is better")
    bitrate: BitRate | None = Field(None, description="Of the picture, in bits per second, or '2.5M'")
    max_bitrate: BitRate | None = Field(None, description="A limit on top of quality, crf or bitrate")
    target_size: FileSize | None = Field(
        None, description="Bytes that the whole file stays within, or '8 MB'", examples=["8 MB"]
    )
    passes: Literal[1, 2] | None = Field(
        None, description="Two spread a bitrate better, for twice the work. Unset: 2 for a target size, else 1"
    )
    width: int | None = Field(
        None, ge=16, le=8192, description="Pixels. With height too, the picture fits into both; it keeps its shape"
    )
    height: int | None = Field(None, ge=16, le=8192)
    resolution: Resolution | None = Field(None, description="The shorter side, in place of width and height")
    fit: Fit | None = Field(None, description="How the picture fills width and height to the pixel, in another shape")
    background: Color = Field("#000000", description="Beside a picture that is fitted with room left")
    upscale: bool | None = Field(
        None, description="Whether a smaller picture is enlarged. Unset: yes, except among renditions"
    )
    renditions: list[Resolution | Rendition] = Field(
        default_factory=list, max_length=12, description="Several sizes at once, from one decode", examples=[["720p"]]
    )
    fps: FrameRate | None = Field(
        None, validation_alias=AliasChoices("fps", "frame_rate", "frameRate"), description="Unset: as it is"
    )
    max_fps: FrameRate | None = Field(None, description="A faster video is brought down to it")
    preset: Preset | None = Field(
        None, description="ultrafast to veryslow, for every codec: how much work goes into a smaller file"
    )
    depth: Literal["auto"] | Depth = Field(
        "auto", description="Bits of each colour. auto keeps 10, except in h264, which few players show so"
    )
    hdr: Hdr = Field("auto", description="auto keeps it where h265, vp9 or av1 hold it; else it is mapped to SDR")
    hardware: Hardware = Field("cpu", description="Used only where a test encode succeeds, else the processor encodes")
    audio_codec: AudioCodec | None = Field(None, description="Unset: aac, or opus in WebM")
    audio_bitrate: BitRate | None = None
    audio_channels: Literal[1, 2, 6] | None = Field(
        None, description="At most so many; 6 keeps surround sound. Unset: 2"
    )
    sample_rate: Literal[22050, 24000, 32000, 44100, 48000, 96000] | None = Field(
        None, description="Hertz; unset: 48000, where the sound has to be encoded"
    )
    mute: bool = False
    segment_seconds: float = Field(4, ge=1, le=20, description="Length of the segments of hls")

    @model_validator(mode="after")
    def _goes_together(self) -> "TranscodeSpec":
        settled = self.settled()
        checks = (_in_codecs, _in_sizes, _in_rates, _in_passes, _in_colours, _in_renditions, _in_sound)
        _refuse([wrong for check in checks for wrong in check(settled)])
        return self

    def settled(self) -> "TranscodeSpec":
        """Return the order with what its purpose asks for, where nothing else was asked."""
        if self.purpose is None:
            return self
        given = self.model_fields_set
        kept = set(given)
        kept |= {*_RATES, "max_bitrate"} if given & _RATES else set()
        kept |= {*_SIZES, "fit", "upscale"} - given if given & _SIZES else set()
        asked = {name: value for name, value in PURPOSES[self.purpose].items() if name not in kept}
        if "format" in given:
            asked = {name: value for name, value in asked.items() if _holds(self.format, name, value)}
        return self.model_copy(update=asked)

    @property
    def picture_codec(self) -> VideoCodec:
        """The codec asked for, or the usual one of the container."""
        return self.video_codec or codecs_in(self.format)[0]

    @property
    def sound_codec(self) -> AudioCodec:
        """The codec asked for, or the usual one of the container."""
        return self.audio_codec or sound_in(self.format)[0]

    @property
    def ladder(self) -> list[Rendition]:
        """The renditions, written out."""
        return [Rendition(resolution=r) if isinstance(r, str) else r for r in self.renditions]


def codecs_in(format: Delivery) -> tuple[VideoCodec, ...]:
    """Return the codecs of pictures that go into a container, the usual one first."""
    return _IN_HLS if format == "hls" else codecs.VIDEO_CODECS[format]


def sound_in(format: Delivery) -> tuple[AudioCodec, ...]:
    """Return the codecs of sound that go into a container, the usual one first."""
    return codecs.AUDIO_CODECS["mp4" if format == "hls" else format]


def _holds(format: Delivery, name: str, value: Any) -> bool:
    if name == "video_codec":
        return value in codecs_in(format)
    return name != "audio_codec" or value in sound_in(format)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError("; ".join(problems))


def _in_codecs(order: TranscodeSpec) -> Iterator[str]:
    for codec, allowed in ((order.video_codec, codecs_in(order.format)), (order.audio_codec, sound_in(order.format))):
        if codec is not None and codec not in allowed:
            yield f"{codec} does not go into {order.format}; {order.format} takes {', '.join(allowed)}"
    worst = codecs.max_crf(order.picture_codec)
    for crf in [order.crf, *(rendition.crf for rendition in order.ladder)]:
        if crf is not None and crf > worst:
            yield f"crf {crf} is beyond the {worst} that {order.picture_codec} knows"


def _in_sizes(order: TranscodeSpec | Rendition) -> Iterator[str]:
    if order.resolution is not None and (order.width or order.height):
        yield "give resolution, or width and height, not both"
    if isinstance(order, TranscodeSpec) and order.fit is not None and not (order.width and order.height):
        yield "fit needs width and height"


def _in_rates(order: TranscodeSpec | Rendition) -> Iterator[str]:
    asked = [name for name in ("quality", "crf", "bitrate", "target_size") if getattr(order, name, None) is not None]
    if len(asked) > 1:
        yield f"give one of quality, crf, bitrate and target_size, not {' and '.join(asked)}"
    if order.bitrate is not None and order.max_bitrate is not None and order.max_bitrate < order.bitrate:
        yield f"max_bitrate {order.max_bitrate} is below the bitrate {order.bitrate}"
    if "target_size" in asked and order.max_bitrate is not None:
        yield "give max_bitrate or target_size, not both"


def _in_passes(order: TranscodeSpec) -> Iterator[str]:
    if order.passes == 2 and order.hardware != "cpu":
        yield "two passes are made by the processor: leave hardware out, or passes"
    if order.passes == 2 and not all(_bitrates(order)):
        yield "two passes need a bitrate or a target_size: an even quality takes one"


def _bitrates(order: TranscodeSpec) -> list[int | None]:
    if not order.renditions:
        return [order.bitrate or order.target_size]
    even = [rendition.quality is not None or rendition.crf is not None for rendition in order.ladder]
    return [
        None if by_quality else rendition.bitrate or order.bitrate
        for rendition, by_quality in zip(order.ladder, even, strict=True)
    ]


def _in_colours(order: TranscodeSpec) -> Iterator[str]:
    if order.hdr != "keep":
        return
    if order.picture_codec == "h264":
        yield "h264 does not hold HDR that players show; hdr 'keep' takes h265, vp9, av1"
    if order.depth == 8:
        yield "HDR needs a depth of 10"
    if order.fit is not None:
        yield "hdr 'keep' goes with the picture's own shape, without fit"


def _in_renditions(order: TranscodeSpec) -> Iterator[str]:
    if order.target_size is not None and order.format == "hls":
        yield "target_size is for one file: give hls a bitrate"
    if not order.renditions:
        return
    if order.resolution or order.width or order.height or order.fit:
        yield "give renditions, or one size, not both"
    if order.target_size is not None:
        yield "target_size is for one file: give each rendition a bitrate"
    names = [rendition.name for rendition in order.ladder if rendition.name]
    if len(set(names)) < len(names):
        yield f"each rendition needs a name of its own, not {', '.join(names)}"


def _in_sound(order: TranscodeSpec) -> Iterator[str]:
    if order.sound_codec == "opus" and order.sample_rate not in (None, 24_000, 48_000):
        yield f"opus knows no {order.sample_rate} Hz; it takes 24000, 48000"
    if order.target_size is not None and order.sound_codec == "flac" and not order.mute:
        yield "target_size needs sound whose size can be chosen, which flac's cannot"
    if order.mute and (order.audio_bitrate or order.audio_channels or order.sample_rate) and order.purpose is None:
        yield "mute goes with nothing else about the sound"
