"""What a film is to be."""

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.model import Model
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec, Container, VideoCodec
from callsheet.media.values import BitRate, Color, Fit, FrameRate, Hardware, Preset, Quality, Resolution


class Output(Model):
    """What the film is to be. Odd widths and heights are made even."""

    format: Container = Field("mp4", description="Container")
    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    resolution: Resolution | None = Field(None, description="The shorter side, in place of width and height")
    aspect_ratio: str | None = Field(
        None,
        pattern=r"^[1-9]\d{0,3}:[1-9]\d{0,3}$",
        description="Width to height, where not both are given. Unset: that of the settings",
        examples=["9:16"],
    )
    fps: FrameRate = Field(30, validation_alias=AliasChoices("fps", "frame_rate", "frameRate"))
    fit: Fit = Field("cover", description="For scenes that do not say")
    background: Color = Field("#000000", description="Where a picture leaves room, and between scenes")
    video_codec: VideoCodec | None = Field(
        None,
        validation_alias=AliasChoices("videoCodec", "codec"),
        description="Unset: h264, or av1 in WebM",
    )
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=63, description="The codec's constant rate factor; lower is better")
    bitrate: BitRate | None = Field(None, description="Of the picture, in bits per second, or '2.5M'")
    max_bitrate: BitRate | None = Field(None, description="A limit on top of quality or crf")
    preset: Preset | None = Field(
        None, description="How much work goes into a smaller file; unset: that of the settings"
    )
    audio_codec: AudioCodec | None = Field(None, description="Unset: aac, or opus in WebM")
    audio_bitrate: BitRate | None = None
    mute: bool = Field(False, description="A film without sound")
    hardware: Hardware = Field("cpu", description="Used only where a test encode succeeds, else the processor encodes")

    @model_validator(mode="after")
    def _goes_together(self) -> "Output":
        if sum(value is not None for value in (self.quality, self.crf, self.bitrate)) > 1:
            raise ValueError("give one of quality, crf and bitrate")
        if self.max_bitrate is not None and self.bitrate is not None:
            raise ValueError("give bitrate or max_bitrate, not both")
        if self.resolution is not None and (self.width or self.height):
            raise ValueError("give resolution, or width and height, not both")
        codecs.check_codec(self.video_codec, codecs.VIDEO_CODECS[self.format], self.format)
        codecs.check_codec(self.audio_codec, codecs.AUDIO_CODECS[self.format], self.format)
        if self.crf is not None and self.crf > (worst := codecs.max_crf(self.picture_codec)):
            raise ValueError(f"crf {self.crf} is beyond the {worst} that {self.picture_codec} knows")
        return self

    @property
    def picture_codec(self) -> VideoCodec:
        """The codec asked for, or the usual one of the container."""
        return self.video_codec or codecs.VIDEO_CODECS[self.format][0]

    @property
    def sound_codec(self) -> AudioCodec:
        """The codec asked for, or the usual one of the container."""
        return self.audio_codec or codecs.AUDIO_CODECS[self.format][0]
