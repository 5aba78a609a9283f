"""Move the embedded database to the PostgreSQL of this version, when an earlier one created it.

The earlier PostgreSQL starts once more, for a dump; the new one restores it into a new cluster. Then the new cluster
takes the place of the old one, which stays beside it.
"""

import asyncio
from pathlib import Path

from callsheet.backup.copying import sync_folder
from callsheet.backup.dumps import dump_database
from callsheet.backup.manifest import DUMP
from callsheet.backup.progress import ShowProgress
from callsheet.backup.row_counts import count_rows
from callsheet.backup.staging import load_dump, open_staging
from callsheet.db.address import parse_address
from callsheet.db.embedded.initdb import MAJOR_VERSION, check_version, find_programs, is_initialized, version_of
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.staging import STAGING
from callsheet.db.session import open_session
from callsheet.domain.errors import ConfigurationError, Conflict
from callsheet.files.atomic_write import raise_disk_full
from callsheet.settings import Settings


async def upgrade_server(settings: Settings, *, programs: Path | None, show: ShowProgress) -> Path | None:
    """Move the embedded database to this PostgreSQL. Return the folder of the old one; None if nothing was to do.

    `programs` is the folder of the programs of the earlier PostgreSQL; None: those of the package, or of Debian. Raises
    ConfigurationError if there are none, or the database is of a newer PostgreSQL; Conflict while it is in use.
    """
    if settings.database_url is not None:
        raise ConfigurationError("DATABASE_URL is set: upgrade that server with the programs of its installation")
    folder = settings.data_dir / "postgres"
    data = folder / "cluster"
    if (settings.data_dir / STAGING).exists():
        _undo_half_move(folder)
    if not is_initialized(data):
        raise ConfigurationError(f"There is no embedded database in {folder}; set CALLSHEET_DATA_DIR")
    major = version_of(data)
    if major == MAJOR_VERSION:
        return None
    if not major.isdecimal() or int(major) > int(MAJOR_VERSION):
        check_version(data)  # it raises
    old = EmbeddedPostgres(folder, programs=await asyncio.to_thread(find_programs, major, programs))
    if old.is_in_use():
        raise Conflict(f"Callsheet processes use {settings.data_dir}: stop them first")
    with raise_disk_full(settings.data_dir), open_staging(settings.data_dir) as staging:
        rows = await _dump(old, staging / DUMP, settings.database_schema, show)
        await load_dump(staging, settings.database_schema, rows, upgrades_schema=False, show=show)
        kept = folder / f"cluster-{major}"
        data.rename(kept)
        (staging / "postgres" / "cluster").rename(data)
        sync_folder(folder)
    return kept


async def _dump(old: EmbeddedPostgres, file: Path, schema: str, show: ShowProgress) -> dict[str, int]:
    """Dump the database of an earlier PostgreSQL. Return the numbers of its rows."""
    dsn = await asyncio.to_thread(old.start)
    try:
        connection = await open_session(parse_address(dsn, schema=schema), application_name="callsheet upgrade")
        try:
            rows = await count_rows(connection)
        finally:
            await connection.close(timeout=5)
        await asyncio.to_thread(file.touch, mode=0o600)
        with show("database", None) as on_progress:
            await dump_database(dsn, file, snapshot=None, on_progress=on_progress)
    finally:
        await asyncio.to_thread(old.stop)
    return rows


def _undo_half_move(folder: Path) -> None:
    """Move an old cluster back that was moved aside before the process was killed."""
    aside = list(folder.glob("cluster-*"))
    if not (folder / "cluster").exists() and len(aside) == 1:
        aside[0].rename(folder / "cluster")
