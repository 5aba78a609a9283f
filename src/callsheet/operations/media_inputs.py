"""Media inputs of jobs: brought here, looked at, and held against what the operation needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.media.ffmpeg.progress import format_duration
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.frame_index import measure_longest_gop
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.settings import Settings

RequiredMedia = Literal["video", "picture", "sound", "media"]
"""`video`: moving pictures; `picture`: a video or a still; `sound`: a sound track; `media`: any of them."""


class MediaContext(Protocol):
    """As much of a job's context as reading its inputs takes."""

    @property
    def dir(self) -> Path:
        """A folder for files."""

    @property
    def settings(self) -> Settings:
        """Those of this machine."""

    @property
    def ffmpeg(self) -> FFmpeg:
        """Runs FFmpeg."""

    async def fetch_input(self, source: MediaSource) -> Path:
        """Bring an input file here and return its path."""


async def read_media(job: MediaContext, source: MediaSource, field: str, need: RequiredMedia = "media") -> MediaInfo:
    """Bring an input file here and return it with what it is.

    `field` is the name of the parameter it came in, for the error. Raises BadParams when the file is not what is
    needed or goes beyond what the settings allow, BadSource when it must not be used, SourceUnreachable when it did
    not come, FFmpegFailed when it cannot be read as media.
    """
    found = await probe_details(await job.fetch_input(source))
    problems = [*_unfit(found, need), *_over_limit(found, job.settings)]
    if problems:
        told = [Problem(field, code, f"{message}: '{found.path.name}'") for code, message in problems]
        raise BadParams(told)
    return await measure_longest_gop(job.ffmpeg, found)


def _unfit(found: MediaInfo, need: RequiredMedia) -> Iterator[tuple[str, str]]:
    if need in ("video", "picture") and not found.has_video:
        yield "no_picture", "there is no picture in this file"
    elif need == "video" and found.still:
        yield "not_a_video", "this is a still picture, not a video"
    elif need == "sound" and not found.has_audio:
        yield "no_sound", "there is no sound in this file"


def _over_limit(found: MediaInfo, settings: Settings) -> Iterator[tuple[str, str]]:
    longest = settings.media_max_duration.total_seconds()
    plays = max(found.probe.duration or 0.0, found.video_seconds or 0.0)
    if plays > longest:
        yield "too_long", f"the file plays {format_duration(plays)}; {format_duration(longest)} is the most allowed"
    pixels = (found.probe.width or 0) * (found.probe.height or 0)
    if pixels > settings.media_max_pixels:
        size = f"{found.probe.width}x{found.probe.height}"
        yield "too_large", f"its pictures are {size}; {settings.media_max_pixels:,} pixels are the most allowed"
    if len(found.streams) > settings.media_max_streams:
        message = f"the file holds {len(found.streams)} tracks; {settings.media_max_streams} are the most allowed"
        yield "too_many_streams", message
