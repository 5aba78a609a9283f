"""Settings of the rendered video."""

from typing import Annotated

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec, Container, VideoCodec
from callsheet.media.values import BitRate, Color, Fit, FrameRate, Hardware, Preset, Quality, Resolution


class Output(Model):
    """Settings of the rendered video. Odd widths and heights are rounded down to even ones."""

    format: Container = Field("mp4", description="Container")
    width: int | None = Field(None, ge=16, le=8192)
    height: int | None = Field(None, ge=16, le=8192)
    resolution: Resolution | None = Field(None, description="Length of the shorter side, instead of width and height")
    aspect_ratio: Annotated[str, TextForm(r"^[1-9]\d{0,3}:[1-9]\d{0,3}$", "a ratio such as 16:9")] | None = Field(
        None,
        description="Width to height, if not both are given. Default: the setting ffmpeg_aspect_ratio",
        examples=["9:16"],
    )
    fps: FrameRate = Field(30, validation_alias=AliasChoices("fps", "frame_rate", "frameRate"))
    fit: Fit = Field("cover", description="Default for scenes without a fit")
    background: Color = Field(
        "#000000", description="Color beside an image or video that does not fill the frame, and between scenes"
    )
    video_codec: VideoCodec | None = Field(
        None,
        validation_alias=AliasChoices("videoCodec", "codec"),
        description="Default: h264, or av1 in WebM",
    )
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=63, description="The codec's constant rate factor; lower is better")
    bitrate: BitRate | None = Field(None, description="Bitrate of the video stream in bits per second, or '2.5M'")
    max_bitrate: BitRate | None = Field(None, description="Bitrate limit in addition to quality or crf")
    preset: Preset | None = Field(
        None, description="Encoding speed against file size. Default: the setting ffmpeg_video_preset"
    )
    audio_codec: AudioCodec | None = Field(None, description="Default: aac, or opus in WebM")
    audio_bitrate: BitRate | None = None
    mute: bool = Field(False, description="Leave the audio out")
    hardware: Hardware = Field(
        "cpu", description="Encoder hardware. Used only if a test encode succeeds; otherwise the CPU encodes"
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "Output":
        if sum(value is not None for value in (self.quality, self.crf, self.bitrate)) > 1:
            raise ValueError("give one of quality, crf and bitrate")
        if self.max_bitrate is not None and self.bitrate is not None:
            raise ValueError("give bitrate or max_bitrate, not both")
        if self.resolution is not None and (self.width or self.height):
            raise ValueError("give resolution, or width and height, not both")
        codecs.check_codec(self.video_codec, codecs.VIDEO_CODECS[self.format], self.format)
        codecs.check_codec(self.audio_codec, codecs.AUDIO_CODECS[self.format], self.format)
        if self.crf is not None and self.crf > (max_crf := codecs.max_crf(self.effective_video_codec)):
            raise ValueError(f"crf {self.crf} is above {max_crf}, the maximum of {self.effective_video_codec}")
        return self

    @property
    def effective_video_codec(self) -> VideoCodec:
        """The requested codec, or the default of the container."""
        return self.video_codec or codecs.VIDEO_CODECS[self.format][0]

    @property
    def effective_audio_codec(self) -> AudioCodec:
        """The requested codec, or the default of the container."""
        return self.audio_codec or codecs.AUDIO_CODECS[self.format][0]
