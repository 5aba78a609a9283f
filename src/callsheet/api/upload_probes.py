"""The probe of an upload: what its file is, before a plan uses it."""

import asyncio
import tempfile
from collections import OrderedDict
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import InvalidState
from callsheet.domain.model import Model
from callsheet.engine.uploads import get_upload
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.media.probing.probe import probe_if_media
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/uploads", tags=["uploads"])

_MAX_SIZE = 2 * 2**30
"""Bytes of a file that is copied from the storage to be probed."""
_AT_ONCE = 2
_MOST_KEPT = 500


class UploadProbe(Model):
    """What the file of an upload is."""

    probe: Probe | None = Field(description="Media properties; null: the file is not media, or is too large")
    too_large: bool = Field(description="Whether the file is too large to be probed before a job uses it")


class UploadProbes:
    """Probes files of uploads, and keeps the newest probes: the file of an upload never changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, UploadProbe] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def read(self, runtime: Runtime, upload_id: UUID) -> UploadProbe:
        """Return the probe of an upload. Raises NotFound, and InvalidState if its file has not arrived."""
        upload = await get_upload(runtime.database, upload_id)
        if upload.completed_at is None:
            raise InvalidState("The file has not arrived completely.")
        if upload.size > _MAX_SIZE:
            return UploadProbe(probe=None, too_large=True)
        if upload_id not in self._known:
            async with self._turns:
                probe = await _probe(runtime, upload.key)
            self._known[upload_id] = UploadProbe(probe=probe, too_large=False)
            while len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)
        return self._known[upload_id]


@router.get(
    "/{upload_id}/probe",
    name="probe_upload",
    summary="Probe an upload",
    responses={**problem_responses(404, 409, 422), 200: examples.upload_probe},
)
async def read_probe(upload_id: UUID, runtime: RuntimeDep, request: Request) -> UploadProbe:
    """Return what the file of a complete upload is: format, duration, size, codecs."""
    probes: UploadProbes = request.app.state.upload_probes
    return await probes.read(runtime, upload_id)


async def _probe(runtime: Runtime, key: str) -> Probe | None:
    with tempfile.TemporaryDirectory(prefix="probe-", dir=own_scratch_folder(runtime.settings.scratch_dir)) as folder:
        path = Path(folder) / Path(key).name
        await runtime.storage.get(key, path)
        return await probe_if_media(path)
