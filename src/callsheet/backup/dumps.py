"""Dump and restore a database with the programs of PostgreSQL, in their custom format."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from callsheet.db.embedded.initdb import environment, find_program, last_lines
from callsheet.domain.errors import CallsheetError, DiskFull

_INTERVAL = 0.5
"""Seconds between two reports of the progress."""


class DumpFailed(CallsheetError):
    """A program of PostgreSQL that dumps or restores a database failed"""


async def dump_database(dsn: str, file: Path, *, snapshot: str | None, on_progress: Callable[[int], None]) -> None:
    """Write a dump of a database to a file that exists, and keep its mode.

    `snapshot` is the id of an exported snapshot. `on_progress` receives the number of bytes that were written. Raises
    DumpFailed and DiskFull.
    """
    options = [f"--snapshot={snapshot}"] if snapshot else []

    await _run(
        "pg_dump",
        "--format=custom",
        *options,
        f"--file={file}",
        f"--dbname={dsn}",
        on_progress=lambda: on_progress(file.stat().st_size),
    )


async def restore_database(dsn: str, file: Path) -> None:
    """Restore a dump into an empty database. Raises DumpFailed and DiskFull."""
    jobs = min(4, os.cpu_count() or 1)
    await _run(
        "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", f"--jobs={jobs}", f"--dbname={dsn}", str(file)
    )


async def check_dump(file: Path) -> None:
    """Read a dump to its end. Raises DumpFailed if it is not readable."""
    await _run("pg_restore", "--file=/dev/null", str(file))


async def _run(program: str, *arguments: str, on_progress: Callable[[], None] = lambda: None) -> None:
    process = await asyncio.create_subprocess_exec(
        str(find_program(program)),
        *arguments,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    output = asyncio.ensure_future(process.communicate())
    try:
        while not (await asyncio.wait([output], timeout=_INTERVAL))[0]:
            on_progress()
        _, errors = await output
    except BaseException:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(output, return_exceptions=True)
        raise
    if process.returncode != 0:
        text = errors.decode(errors="replace")
        if "No space left on device" in text:
            raise DiskFull(f"There is no space left for {program}: {last_lines(text)}")
        raise DumpFailed(f"{program} failed: {last_lines(text)}")
