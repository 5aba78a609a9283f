"""The clean-up of the disk of this machine, with its figures in the database, where all machines can be seen."""

import asyncio
import os
import platform

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.files.disk_clean_up import clean_up_disk, survey_disk
from callsheet.files.temporary_files import Removed, TemporaryFiles
from callsheet.settings import Settings

log = structlog.get_logger(__name__)


async def measure_disk(database: Database, settings: Settings) -> None:
    """Record how much room temporary files take on this machine, and what of it the next clean-up removes.

    Raises OSError.
    """
    await _record(database, settings, await asyncio.to_thread(survey_disk, settings), Removed())


async def clean_disk(database: Database, settings: Settings) -> None:
    """Remove the temporary files of this machine that no process needs, and record what was removed. Raises OSError."""
    found, removed = await asyncio.to_thread(clean_up_disk, settings)
    for failure in removed.failures[:10]:
        log.warning("a temporary file cannot be removed", reason=failure)
    if removed.files:
        log.info("removed temporary files", files=removed.files, bytes=removed.bytes)
    if found.bytes > settings.temp_max_bytes:
        log.warning("temporary files in use take more room than CALLSHEET_TEMP_MAX_BYTES", bytes=found.bytes)
    await _record(database, settings, found, removed)


async def request_disk_clean_ups(database: Database) -> None:
    """Ask all workers to clean the disks of their machines now."""
    await database.retry(lambda c: sql.notify_control(c, message="clean-disk all"), timeout=5)


async def _record(database: Database, settings: Settings, found: TemporaryFiles, removed: Removed) -> None:
    await database.retry(
        lambda c: sql.record_scratch_spaces(
            c,
            host=platform.node(),
            folder=os.pathsep.join(map(str, settings.scratch_dirs)),
            bytes=found.bytes,
            live_bytes=found.live_bytes,
            removable_files=sum(entry.files for entry in found.removable),
            removable_bytes=sum(entry.bytes for entry in found.removable),
            max_bytes=settings.temp_max_bytes,
            removed_files=removed.files,
            removed_bytes=removed.bytes,
        ),
        timeout=5,
    )
