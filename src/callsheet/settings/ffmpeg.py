"""FFmpeg, and the limits for media files."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration
from callsheet.domain.text_form import TextForm

_X264Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


class FFmpegSettings(BaseModel):
    """FFmpeg, defaults of rendered videos, and limits for media files."""

    ffmpeg_path: Path | None = Field(
        None, description="Path of FFmpeg; unset: `ffmpeg` on the PATH, else the FFmpeg bundled with Callsheet"
    )
    ffmpeg_aspect_ratio: Annotated[str, TextForm(r"^[1-9]\d{0,3}:[1-9]\d{0,3}$", "a ratio such as 16:9")] = Field(
        "9:16",
        description="Aspect ratio of timelines that name none, as `width:height`",
    )
    ffmpeg_audio_filter: str = Field(
        "loudnorm=I=-16:TP=-1.5:LRA=11",
        description="Audio filter of timelines that name none. `loudnorm=…` gives the targets of a two-pass loudness "
        "normalization; any other filter is applied unchanged",
    )
    ffmpeg_video_preset: _X264Preset = Field("medium", description="x264 preset of timelines that name none")
    render_timeout: Duration = Field(
        timedelta(hours=1),
        gt=timedelta(0),
        description="Time limit of one run of a `render` job whose plan sets no `timeout`. Read by the server that "
        "accepts the plan",
    )
    ffmpeg_memory: int | None = Field(
        None,
        ge=64 * 2**20,
        description="Maximum resident memory of one FFmpeg process, in bytes; unset: three quarters of the machine's "
        "memory",
    )
    ffmpeg_max_output: int = Field(
        64 * 2**30, ge=2**20, description="Maximum size of a file that FFmpeg writes, in bytes"
    )
    ffmpeg_sandbox: Literal["auto", "off", "required"] = Field(
        "auto",
        description="Restrict FFmpeg and other decoders to the files of their job, with Landlock. `auto`: if the "
        "kernel has it; `required`: fail without it",
    )
    media_max_duration: Duration = Field(timedelta(hours=6), description="Maximum duration of a media file")
    media_max_pixels: int = Field(
        100_000_000,
        ge=1,
        le=100_000_000,
        description="Maximum size of an image or video frame in pixels, width times height",
    )
    media_max_streams: int = Field(100, ge=1, le=1000, description="Maximum number of streams of a media file")
