"""Clean the disk of a worker's machine."""

import asyncio
from datetime import timedelta

from pydantic import Field

from callsheet.domain.model import Model
from callsheet.files.disk_clean_up import clean_up_disk as clean_up
from callsheet.operation_api.contract import Context, operation


class NoParams(Model):
    """The operation takes no params."""


class DiskCleanUp(Model):
    """What was removed from the disk, and what is left there."""

    removed_files: int
    removed_bytes: int
    remaining_bytes: int = Field(description="Size of all temporary files that are left")
    live_bytes: int = Field(description="Of it, what live processes have")
    failures: list[str] = Field(description="What could not be removed, and why, at most 20")


@operation("clean-up-disk", queue="preview", timeout=timedelta(minutes=30), attempts=1)
async def clean_up_disk(job: Context, params: NoParams) -> DiskCleanUp:  # noqa: ARG001 - it has no params
    """Remove old temporary files from the disk of the machine whose worker runs the job.

    Machines do this by themselves at the start of each worker and hourly.
    """
    found, removed = await asyncio.to_thread(clean_up, job.settings)
    return DiskCleanUp(
        removed_files=removed.files,
        removed_bytes=removed.bytes,
        remaining_bytes=found.bytes,
        live_bytes=found.live_bytes,
        failures=removed.failures[:20],
    )
