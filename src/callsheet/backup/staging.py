"""A folder in the data folder in which a new database is prepared, before it takes the place of another one."""

import asyncio
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from callsheet.backup.dumps import restore_database
from callsheet.backup.manifest import DUMP
from callsheet.backup.progress import ShowProgress
from callsheet.backup.row_counts import compare_rows, count_rows
from callsheet.db.address import DatabaseAddress, parse_address
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.staging import STAGING
from callsheet.db.session import open_session
from callsheet.db.upgrade import upgrade
from callsheet.domain.errors import Conflict

_PATIENCE = 30.0
"""Seconds that processes of a killed restore may take to end."""


@contextmanager
def open_staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder in the data folder, which is locked; servers refuse to start while it is there.

    It is removed at the end, and what a killed process left there at the start. Raises Conflict while another process
    uses it.
    """
    staging = folder / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    staging.mkdir(mode=0o711, exist_ok=True)
    lock = os.open(staging, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another process restores or upgrades the database in {folder}") from None
        try:
            _remove_left(staging)
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(lock)


async def load_dump(
    staging: Path, schema: str, rows: Mapping[str, int], *, upgrades_schema: bool, show: ShowProgress
) -> None:
    """Restore the dump in a staging folder into a new cluster there, `postgres/cluster`, and delete the dump.

    Raises BadInput if it has other numbers of rows than `rows`. `upgrades_schema` brings it to this version.
    """
    embedded = EmbeddedPostgres(staging / "postgres")
    dsn = await asyncio.to_thread(embedded.start)
    try:
        with show("database", None):
            await restore_database(dsn, staging / DUMP)
        address = parse_address(dsn, schema=schema)
        await _check_rows(address, rows)
        if upgrades_schema:
            await upgrade(address)
    finally:
        await asyncio.to_thread(embedded.stop)
    (staging / DUMP).unlink()


async def _check_rows(address: DatabaseAddress, rows: Mapping[str, int]) -> None:
    connection = await open_session(address, application_name="callsheet restore")
    try:
        compare_rows(await count_rows(connection), rows)
        # Without statistics, the first statements would be slow.
        await connection.execute("ANALYZE")
    finally:
        await connection.close(timeout=5)


def _remove_left(staging: Path) -> None:
    """Remove what a killed process left.

    Its PostgreSQL or `initdb` may still start or end, and create and delete files meanwhile: then it is tried again.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        EmbeddedPostgres(staging / "postgres").stop_left_server()
        try:
            for left in staging.iterdir():
                _remove(left)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
