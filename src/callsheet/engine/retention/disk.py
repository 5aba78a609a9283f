"""Temporary files of this machine: their measure, and their removal.

Every worker and server does this for the scratch spaces of its own machine, since others have other disks. Processes
with the same scratch spaces take turns.
"""

import asyncio
import platform
from collections.abc import Sequence
from pathlib import Path

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.model import Model
from callsheet.files.partial_files import PartialFiles
from callsheet.files.temporary_files import (
    Removed,
    TemporaryFiles,
    TemporaryRules,
    only_clean_up,
    remove_entries,
    survey_scratch_spaces,
)
from callsheet.settings import Settings

log = structlog.get_logger(__name__)


class DiskCleanUp(Model):
    """What a clean-up has removed from a disk, and what is left there."""

    removed_files: int
    removed_bytes: int
    remaining_bytes: int
    live_bytes: int
    """Of what remains, what live processes have."""


async def measure_disk(database: Database, settings: Settings) -> None:
    """Record how much room temporary files take on this machine, and what of it the next clean-up removes."""
    found = await asyncio.to_thread(survey_scratch_spaces, settings.scratch_dirs, _rules(settings))
    await _record(database, settings, found, Removed())


async def clean_disk(database: Database, settings: Settings) -> DiskCleanUp:
    """Remove the temporary files of this machine that nobody needs, and record what was removed.

    Nothing is removed while another process of the machine does so. Files of live processes are never touched.
    """
    found, removed = await asyncio.to_thread(_clean, settings)
    for failure in removed.failures[:10]:
        log.warning("a temporary file cannot be removed", reason=failure)
    if removed.files:
        log.info("removed temporary files", files=removed.files, bytes=removed.bytes)
    room = found.bytes
    if room > settings.temp_max_bytes:
        log.warning("temporary files in use take more room than CALLSHEET_TEMP_MAX_BYTES", bytes=room)
    await _record(database, settings, found, removed)
    return DiskCleanUp(
        removed_files=removed.files,
        removed_bytes=removed.bytes,
        remaining_bytes=room,
        live_bytes=sum(entry.bytes for entry in found.live),
    )


async def request_disk_clean_ups(database: Database) -> None:
    """Ask all workers to clean the disks of their machines now."""
    await database.retry(lambda c: sql.notify_control(c, message="clean-disk all"), timeout=5)


def _clean(settings: Settings) -> tuple[TemporaryFiles, Removed]:
    """Remove what can go. Return what is left, and what was removed."""
    spaces, rules = settings.scratch_dirs, _rules(settings)
    with only_clean_up(spaces) as is_alone:
        if not is_alone:
            return survey_scratch_spaces(spaces, rules), Removed()
        removed = remove_entries(survey_scratch_spaces(spaces, rules).removable)
        removed.files += PartialFiles(settings.data_dir / "uploads").remove_older_than(settings.upload_max_age)
        return survey_scratch_spaces(spaces, rules), removed


def _rules(settings: Settings) -> TemporaryRules:
    return TemporaryRules(settings.temp_max_age, settings.finished_result_max_age, settings.temp_max_bytes)


async def _record(database: Database, settings: Settings, found: TemporaryFiles, removed: Removed) -> None:
    await database.retry(
        lambda c: sql.record_scratch_spaces(
            c,
            host=platform.node(),
            folder=_names(settings.scratch_dirs),
            bytes=found.bytes,
            live_bytes=sum(entry.bytes for entry in found.live),
            removable_files=sum(entry.files for entry in found.removable),
            removable_bytes=sum(entry.bytes for entry in found.removable),
            max_bytes=settings.temp_max_bytes,
            removed_files=removed.files,
            removed_bytes=removed.bytes,
        ),
        timeout=5,
    )


def _names(spaces: Sequence[Path]) -> str:
    return ":".join(map(str, spaces))
