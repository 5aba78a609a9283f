"""Artifacts: the files that jobs produce."""

from uuid import UUID

from pydantic import Field

from callsheet.domain.model import Model


class Probe(Model):
    """Properties of a media file, read from its contents. A field that does not apply is None."""

    format: str | None = Field(None, description="Container, by FFmpeg's name", examples=["mov,mp4,m4a,3gp,3g2,mj2"])
    duration: float | None = Field(None, description="Seconds", examples=[12.5])
    width: int | None = Field(None, description="Pixels, as displayed (rotation applied)", examples=[1080])
    height: int | None = Field(None, description="Pixels, as displayed (rotation applied)", examples=[1920])
    fps: float | None = Field(None, description="Frames per second", examples=[30.0])
    frames: int | None = Field(None, description="Number of video frames, if the container stores it")
    video_codec: str | None = Field(None, examples=["h264"])
    pixel_format: str | None = Field(None, examples=["yuv420p"])
    rotation: int = Field(0, description="Degrees counterclockwise by which players rotate the video")
    mirrored: bool = Field(False, description="Whether players mirror the video left to right, before they rotate it")
    audio_codec: str | None = Field(None, examples=["aac"])
    audio_channels: int | None = Field(None, examples=[2])
    sample_rate: int | None = Field(None, description="Hertz", examples=[48000])
    bit_rate: int | None = Field(None, description="Bits per second, all streams together")

    @property
    def turned(self) -> bool:
        """Whether players rotate or mirror the stored frames."""
        return self.rotation != 0 or self.mirrored


class Artifact(Model):
    """A stored file and its metadata."""

    artifact_id: UUID
    name: str = Field(description="File name, without folders", examples=["final.mp4"])
    key: str = Field(description="Storage key: <operation>/<job record id>/<name>")
    media_type: str = Field(examples=["video/mp4"])
    size: int = Field(description="Bytes", ge=0)
    sha256: str = Field(description="SHA-256 of the contents, in hexadecimal", min_length=64, max_length=64)
    probe: Probe | None = Field(None, description="Media properties; null for files that are not media")
