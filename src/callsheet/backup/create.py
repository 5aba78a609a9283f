"""Make a backup while servers and workers run.

The database comes first, at one moment (a snapshot), and the files after it. A file is in the storage before its row is
committed, never changes, and has a name that is never used again. So each row of the snapshot finds its file, as long
as none is deleted meanwhile: a lock postpones the deletion of files until the backup is done.
"""

import asyncio
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg

from callsheet.backup.copying import DigestReader
from callsheet.backup.dumps import check_dump, dump_database
from callsheet.backup.manifest import FILE_LIST, FILES, FORMAT, KEY, FilesPart, Manifest, StoredFile, StoredPart
from callsheet.backup.progress import ShowProgress
from callsheet.backup.row_counts import count_rows
from callsheet.backup.targets import Target, complete, open_target
from callsheet.db.address import DatabaseAddress, parse_address
from callsheet.db.embedded.initdb import is_initialized
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.fitness import inspect
from callsheet.db.session import open_session
from callsheet.db.statements import sql
from callsheet.domain.errors import ConfigurationError, Conflict
from callsheet.files.atomic_write import raise_disk_full
from callsheet.settings import Settings

_SKIPPED = re.compile(r"(^|/)callsheet-check/|#[0-9]+$")
"""Files of checks, and files that are being written."""


async def create_backup(settings: Settings, path: Path, *, with_files: bool, show: ShowProgress) -> Manifest:
    """Back up the installation with the embedded database to a new folder, or to a new `.tar` file.

    Returns what it contains, after its dump was read again. Raises ConfigurationError for an installation without an
    embedded database, Conflict if `path` exists or another backup is being made, and DiskFull.
    """
    folder = settings.data_dir / "postgres"
    if settings.database_url is not None:
        raise ConfigurationError(
            "This installation uses the PostgreSQL of DATABASE_URL. Back it up with `pg_dump`, and the bucket or the "
            "folder of its files after it: see docs/backup-and-upgrade.md"
        )
    if not is_initialized(folder / "cluster"):
        raise ConfigurationError(f"There is no embedded database in {folder}; set CALLSHEET_DATA_DIR")
    embedded = EmbeddedPostgres(folder)
    dsn = await asyncio.to_thread(embedded.start)
    try:
        address = parse_address(dsn, schema=settings.database_schema)
        revision = (await inspect(address)).revision
        if revision is None:
            raise ConfigurationError(f"The embedded database has no schema {settings.database_schema}")
        with raise_disk_full(path.parent), open_target(path) as target:
            manifest = await _write(settings, address, dsn, target, revision, with_files=with_files, show=show)
            await asyncio.to_thread(complete, target, path, manifest)
        return manifest
    finally:
        await asyncio.to_thread(embedded.stop)


async def _write(
    settings: Settings,
    address: DatabaseAddress,
    dsn: str,
    target: Target,
    revision: str,
    *,
    with_files: bool,
    show: ShowProgress,
) -> Manifest:
    connection = await open_session(address, application_name="callsheet backup")
    try:
        await _lock(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            moment = await sql.export_snapshot(connection)
            with show("database", None) as on_progress:
                await dump_database(dsn, target.dump, snapshot=moment["snapshot"], on_progress=on_progress)
            await check_dump(target.dump)
            rows = await count_rows(connection)
            expected = {row["key"]: row for row in await sql.files_of_rows(connection)}
        database = await asyncio.to_thread(target.add_dump)
        key = await asyncio.to_thread(_add_key, settings, target)
        files, problems = await asyncio.to_thread(_add_files, settings, target, expected, with_files, show)
    finally:
        await connection.close(timeout=5)
    return Manifest(
        format=FORMAT,
        callsheet=version("callsheet"),
        created_at=moment["time"],
        schema_revision=revision,
        database_schema=settings.database_schema,
        postgresql=moment["version"],
        rows=rows,
        database=database,
        files=files,
        signing_key=key,
        problems=problems,
    )


async def _lock(connection: asyncpg.Connection) -> None:
    try:
        await sql.lock_backup(connection)
    except asyncpg.LockNotAvailableError:
        raise Conflict("Another backup is being made, or files are being deleted; try again later") from None


def _add_key(settings: Settings, target: Target) -> StoredPart | None:
    path = settings.data_dir / KEY
    if settings.signing_key is not None or not path.exists():
        return None
    return target.add_bytes(KEY, path.read_bytes())


def _add_files(
    settings: Settings, target: Target, expected: Mapping[str, Mapping[str, Any]], with_files: bool, show: ShowProgress
) -> tuple[FilesPart, list[str]]:
    location = f"bucket {settings.s3_bucket}" if settings.s3_bucket else f"folder {settings.files_dir}"
    if not with_files or settings.s3_bucket is not None:
        return FilesPart(included=False, location=location, count=0, bytes=0, list=None), []
    found = _stored_files(settings.files_dir)
    stored: list[StoredFile] = []
    with show("files", sum(size for _, size in found.values())) as on_progress:
        copied = 0
        for key, (path, _) in found.items():
            if (part := _add_file(target, key, path)) is not None:
                stored.append(StoredFile(key=key, size=part.size, sha256=part.sha256))
                on_progress(copied := copied + part.size)
    listed = target.add_bytes(FILE_LIST, b"".join(each.model_dump_json().encode() + b"\n" for each in stored))
    files = FilesPart(included=True, location=location, count=len(stored), bytes=copied, list=listed)
    return files, list(_file_problems(expected, stored))


def _add_file(target: Target, key: str, path: Path) -> StoredPart | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # a cached file that has expired meanwhile
        return None
    with file:
        return target.add(FILES + key, DigestReader(file), os.fstat(file.fileno()).st_size)


def _file_problems(expected: Mapping[str, Mapping[str, Any]], stored: Iterable[StoredFile]) -> Iterator[str]:
    """Yield what the rows of the database say of files, and is not so."""
    by_key = {each.key: each for each in stored}
    for key, row in sorted(expected.items()):
        found = by_key.get(key)
        if found is None:
            yield f"{FILES}{key} is missing"
        elif (found.size, found.sha256) != (row["size"], row["sha256"]):
            yield f"{FILES}{key} is damaged: it has not the size and SHA-256 that the database has"


def _stored_files(folder: Path) -> dict[str, tuple[Path, int]]:
    """Return the files of the storage by their keys, with their sizes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        with suppress(FileNotFoundError):
            if not _SKIPPED.search(key) and stat.S_ISREG((facts := path.lstat()).st_mode):
                found[key] = path, facts.st_size
    return found
