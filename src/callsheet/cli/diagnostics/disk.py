"""Folders that are written to, and the room on their disks."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.cli.printing import size_text

_LOW_SPACE, _NO_SPACE = 5_000_000_000, 500_000_000
"""Free bytes on a disk below which the check warns, or fails."""
_FEW_FILES, _NO_FILES = 10_000, 1_000
"""The same for the files that a file system can still create."""


async def folders(installation: Installation) -> AsyncIterator[Finding]:
    """Write a small file into the data folder and the scratch folders, or where they will be created."""
    settings = installation.settings
    places = [("data_folder", settings.data_dir, "CALLSHEET_DATA_DIR")]
    for folder in settings.scratch_dirs:
        if folder.parent != settings.data_dir.expanduser().absolute():
            places.append(("work_folder", folder, "CALLSHEET_WORK_DIR, CALLSHEET_RENDER_DIR or CALLSHEET_PREVIEW_DIR"))
    for subject, folder, variable in places:
        reason = await asyncio.to_thread(_why_not_writable, folder)
        if reason is None:
            yield ok(subject, f"{folder}{'' if folder.is_dir() else ', will be created'}")
        else:
            yield Finding(
                f"{subject}.not_writable",
                f"{folder} is not writable: {reason}",
                f"give this user the right to write there, or set {variable} to another folder",
            )


def _why_not_writable(folder: Path) -> str | None:
    place = _existing_parent(folder)
    if not place.is_dir():
        return f"{place} is not a folder"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".callsheet-check-") as file:
            file.write(b"callsheet")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _existing_parent(folder: Path) -> Path:
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


async def disk(installation: Installation) -> AsyncIterator[Finding]:
    """Report the free space and the free files of the disks."""
    settings = installation.settings
    for folder in dict.fromkeys([settings.data_dir, *settings.scratch_dirs]):
        place = _existing_parent(folder)
        yield disk_finding(folder, shutil.disk_usage(place).free, _free_files(place))


def disk_finding(folder: Path, free_bytes: int, free_files: int | None) -> Finding:
    """Return what the room for a folder means. `free_files` is None where a file system has no limit of files."""
    files = _LOW_SPACE if free_files is None else free_files
    room = f"{size_text(free_bytes)}" + (f" and {files:,} files" if files < _FEW_FILES else "")
    message = f"{room} free for {folder}"
    action = "delete files there, or use a larger disk; what is kept for how long: docs/retention.md"
    if free_bytes < _NO_SPACE or files < _NO_FILES:
        return Finding("disk.full", message, action)
    if free_bytes < _LOW_SPACE or files < _FEW_FILES:
        return Finding("disk.low", message, action)
    return ok("disk", message)


def _free_files(place: Path) -> int | None:
    numbers = os.statvfs(place)
    return numbers.f_favail if numbers.f_files else None
