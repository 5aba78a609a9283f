"""The look of a creative's video or picture."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from callsheet.domain.errors import BadParams, FFmpegFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.look.description import describe
from callsheet.media.look.samples import sample
from callsheet.operation_api.contract import Context
from callsheet.operations.media_inputs import read_media
from callsheet.settings import Settings

_INVALID = "The picture is invalid"


async def look_of(job: Context, source: MediaSource | None, field: str) -> str | None:
    """Return how the frames of a video or picture look, in words; None without one.

    `field` is the name of its parameter, for errors. Raises as `read_media` does.
    """
    if source is None:
        return None
    media = await read_media(job, source, field, "image")
    return describe(await sample(job.ffmpeg, media))


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """A file that is read outside of jobs."""

    path: Path
    settings: Settings
    ffmpeg: FFmpeg

    @property
    def dir(self) -> Path:
        return self.path.parent

    async def fetch_input(self, source: MediaSource) -> Path:  # noqa: ARG002 - it is here already
        return self.path


async def read_example(
    settings: Settings, chunks: AsyncIterator[bytes], field: str, *, turns: asyncio.Semaphore
) -> str:
    """Return how a picture that a client sends looks, in words.

    `turns` limits the pictures that are measured at the same time. `field` names it in errors. Raises BadParams for
    what is no picture.
    """
    folder = own_scratch_folder(settings.scratch_dir)
    with TemporaryDirectory(prefix="example-", dir=folder, ignore_cleanup_errors=True) as name:
        path = Path(name) / "picture"
        size = 0
        with path.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                await asyncio.to_thread(file.write, chunk)
        if not size:
            raise BadParams([Problem(field, "empty", "send the picture as the body")], _INVALID)
        try:
            async with turns:
                return await _look_of_picture(settings, path, field)
        except FFmpegFailed as error:
            message = f"this cannot be read as a picture: {error}"
            raise BadParams([Problem(field, "not_an_image", message)], _INVALID) from None


async def _look_of_picture(settings: Settings, path: Path, field: str) -> str:
    ffmpeg = open_ffmpeg(settings)
    media = await read_media(_LocalFile(path, settings, ffmpeg), MediaSource(str(path)), field, "image")
    if not media.still:
        raise BadParams([Problem(field, "not_an_image", "this is a video; send a picture")], _INVALID)
    return describe(await sample(ffmpeg, media))
