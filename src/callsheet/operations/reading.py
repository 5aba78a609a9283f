"""Media inputs of jobs: brought here, looked at, and held against what the operation needs."""

from collections.abc import Iterator
from typing import Literal

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.media.probe import Footage, inspect
from callsheet.media.progress import clock
from callsheet.operations.contract import Context
from callsheet.settings import Settings

Need = Literal["video", "picture", "sound", "media"]
"""`video`: moving pictures; `picture`: a video or a still; `sound`: a sound track; `media`: any of them."""


async def read_media(job: Context, source: MediaSource, field: str, need: Need = "media") -> Footage:
    """Bring an input file here and return it with what it is.

    `field` is the name of the parameter it came in, for the error. Raises BadParams when the file is not what is
    needed or goes beyond what the settings allow, BadSource when it must not be used, SourceUnreachable when it did
    not come, MediaFailed when it cannot be read as media.
    """
    found = await inspect(await job.open(source))
    problems = [*_unfit(found, need), *_beyond(found, job.settings)]
    if problems:
        told = [Problem(field, code, f"{message}: '{found.path.name}'") for code, message in problems]
        raise BadParams(told)
    return found


def _unfit(found: Footage, need: Need) -> Iterator[tuple[str, str]]:
    if need in ("video", "picture") and not found.has_picture:
        yield "no_picture", "there is no picture in this file"
    elif need == "video" and found.still:
        yield "not_a_video", "this is a still picture, not a video"
    elif need == "sound" and not found.has_sound:
        yield "no_sound", "there is no sound in this file"


def _beyond(found: Footage, settings: Settings) -> Iterator[tuple[str, str]]:
    longest = settings.media_max_duration.total_seconds()
    if (found.probe.duration or 0) > longest:
        yield "too_long", f"the file plays {clock(found.probe.duration or 0)}; {clock(longest)} is the most allowed"
    pixels = (found.probe.width or 0) * (found.probe.height or 0)
    if pixels > settings.media_max_pixels:
        size = f"{found.probe.width}x{found.probe.height}"
        yield "too_large", f"its pictures are {size}; {settings.media_max_pixels:,} pixels are the most allowed"
    if len(found.streams) > settings.media_max_streams:
        message = f"the file holds {len(found.streams)} tracks; {settings.media_max_streams} are the most allowed"
        yield "too_many_streams", message
