"""Media inputs of jobs: brought here, looked at, and held against what the operation needs."""

from typing import Literal

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.media.probe import Footage, inspect
from callsheet.operations.contract import Context

Need = Literal["video", "picture", "sound", "media"]
"""`video`: moving pictures; `picture`: a video or a still; `sound`: a sound track; `media`: any of them."""


async def read_media(job: Context, source: MediaSource, field: str, need: Need = "media") -> Footage:
    """Bring an input file here and return it with what it is.

    `field` is the name of the parameter it came in, for the error. Raises BadParams when the file is not what is
    needed, BadSource when it must not be used, SourceUnreachable when it did not come, MediaFailed when it cannot
    be read as media.
    """
    found = await inspect(await job.open(source))
    if problem := _unfit(found, need):
        code, message = problem
        raise BadParams([Problem(field, code, f"{message}: '{found.path.name}'")])
    return found


def _unfit(found: Footage, need: Need) -> tuple[str, str] | None:
    if need in ("video", "picture") and not found.has_picture:
        return "no_picture", "there is no picture in this file"
    if need == "video" and found.still:
        return "not_a_video", "this is a still picture, not a video"
    if need == "sound" and not found.has_sound:
        return "no_sound", "there is no sound in this file"
    return None
