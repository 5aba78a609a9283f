"""A context for reading media files outside of a job."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from callsheet.domain.artifacts import Artifact
    from callsheet.domain.media_source import MediaSource
    from callsheet.operations.media_inputs import MediaContext
    from callsheet.settings import Settings


class LocalContext:
    """The part of a job context that fetches inputs: settings, FFmpeg and a folder."""

    def __init__(self, settings: "Settings", folder: Path) -> None:
        from callsheet.files.sources import SourceOpener
        from callsheet.files.storage import open_storage
        from callsheet.media.ffmpeg.binary import open_ffmpeg

        self.settings = settings
        self.dir = folder
        self.ffmpeg = open_ffmpeg(settings)
        self._opener = SourceOpener(open_storage(settings), settings, _no_artifact)

    async def fetch_input(self, source: "MediaSource") -> Path:
        """Fetch an input file and return its path. Raises the same errors as the context of a job."""
        return await self._opener.open(source, self.dir)


async def _no_artifact(artifact_id: "UUID") -> "Artifact":
    from callsheet.domain.errors import BadSource

    raise BadSource(f"artifact:{artifact_id} exists on its server only; name a file instead")


@contextmanager
def local_context(settings: "Settings", folder: Path | None) -> "Iterator[MediaContext]":
    """Yield a local context. Without a folder, a temporary folder is used and deleted."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield LocalContext(settings, folder.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="callsheet-") as temporary:
        yield LocalContext(settings, Path(temporary))
