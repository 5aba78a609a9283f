"""Store the files of a trainer as artifacts while it is running."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import DiskFull, StorageRejected, StorageUnreachable
from callsheet.operation_api.contract import Context
from callsheet.training.finished_files import FileWatch, is_sample

_INTERVAL = 1.0
"""Seconds between two looks at the folder."""
_STORAGE_ERRORS = (StorageUnreachable, StorageRejected, DiskFull)
_MEDIA_TYPES = {".safetensors": "application/octet-stream", ".pt": "application/octet-stream"}


class StoredFiles:
    """Stores the files of a training folder, each once in the life of the job.

    `stored` maps the names of files to artifacts, as JSON; `save` writes it to the disk after each change. Files of
    the names `rewritten` are final only when the trainer has succeeded.
    """

    def __init__(
        self,
        job: Context,
        folder: Path,
        names: Sequence[str],
        stored: dict[str, Any],
        save: Callable[[], None],
        *,
        rewritten: frozenset[str] = frozenset(),
    ) -> None:
        self._job = job
        self._watch = FileWatch(folder, names)
        self._stored = stored
        self._save = save
        self._rewritten = rewritten

    async def store_as_they_appear(self) -> None:
        """Store each file when it is complete, until cancelled."""
        while True:
            try:
                await self._store(at_end=False)
            except _STORAGE_ERRORS as error:  # the files stay in the folder, and the next look tries again
                await self._job.log(f"A file of the training is not stored yet: {error.message}")
            await asyncio.sleep(_INTERVAL)

    async def store_rest(self, *, succeeded: bool) -> None:
        """Store what is complete at the end of the trainer. Raises the errors of `Context.keep`."""
        await self._store(at_end=True, with_rewritten=succeeded)

    async def _store(self, *, at_end: bool, with_rewritten: bool = False) -> None:
        skip = frozenset(self._stored) | (frozenset() if with_rewritten else self._rewritten)
        for path in await asyncio.to_thread(self._watch.look, skip=skip, at_end=at_end):
            artifact = await self._job.keep(path, media_type=_MEDIA_TYPES.get(path.suffix), at_once=True)
            self._stored[path.name] = artifact.model_dump(mode="json", by_alias=True)
            await asyncio.to_thread(self._save)

    def checkpoints(self) -> list[Artifact]:
        """Return the artifacts of all checkpoints of the job, with the finished model."""
        return self._artifacts(samples=False)

    def samples(self) -> list[Artifact]:
        """Return the artifacts of all samples of the job."""
        return self._artifacts(samples=True)

    def _artifacts(self, *, samples: bool) -> list[Artifact]:
        return [
            Artifact.model_validate(artifact)
            for name, artifact in sorted(self._stored.items())
            if is_sample(Path(name)) is samples
        ]
