"""Restore a backup into a data folder.

Everything is written to `restoring/` in the data folder, checked, upgraded to the schema of this version, and then
moved into place. Until that, nothing of the data folder changes; what is replaced is moved aside, never deleted.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from callsheet.backup.copying import DigestReader, sync_folder, write_durably
from callsheet.backup.create import ShowProgress
from callsheet.backup.dumps import restore_database
from callsheet.backup.manifest import DUMP, FILES, KEY, Manifest, StoredPart
from callsheet.backup.sources import Source, check_part, open_source
from callsheet.db.address import parse_address
from callsheet.db.compatibility import known_revisions
from callsheet.db.embedded.initdb import MAJOR_VERSION
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.staging import STAGING
from callsheet.db.session import open_session
from callsheet.db.statements import sql
from callsheet.db.upgrade import upgrade
from callsheet.domain.errors import BadInput, ConfigurationError, Conflict
from callsheet.files.atomic_write import raise_disk_full
from callsheet.settings import Settings

_MOVED = ("files", KEY, "postgres")
"""What a restore replaces. The database comes last: without it, no server starts on half a restore."""


async def verify_backup(path: Path, *, show: ShowProgress) -> Manifest:
    """Read a whole backup and compare it with its manifest. Raises BadInput or NotFound for a damaged one.

    `pg_restore` has read its dump when it was made.
    """
    with open_source(path) as source:
        await asyncio.to_thread(_copy_all, source, None, show)
        return source.manifest


async def restore_backup(settings: Settings, path: Path, *, replace: bool, show: ShowProgress) -> Manifest:
    """Restore a backup into the data folder of the settings. Return its manifest.

    With `replace`, the database, files and signing key of the data folder are moved to `replaced-<time>` in it.
    Raises Conflict for a data folder that is in use, or not empty without `replace`; BadInput or NotFound for a damaged
    or incomplete backup, and one of a newer version; ConfigurationError for settings that contradict it.
    """
    with open_source(path) as source:
        _check_settings(settings, source.manifest)
        _check_data_folder(settings.data_dir, replace=replace)
        with raise_disk_full(settings.data_dir), _staging(settings.data_dir) as staging:
            await asyncio.to_thread(_copy_all, source, staging, show)
            await _restore_database(settings, source.manifest, staging, show)
            await asyncio.to_thread(_move_into_place, settings.data_dir, staging, replace=replace)
        return source.manifest


def _check_settings(settings: Settings, manifest: Manifest) -> None:
    if settings.database_url is not None:
        raise ConfigurationError(
            "A backup is restored into the embedded database, and DATABASE_URL is set: unset it, or restore with "
            "`pg_restore`: see docs/backup-and-upgrade.md"
        )
    if settings.database_schema != manifest.database_schema:
        raise ConfigurationError(
            f"The backup has the schema {manifest.database_schema}: set CALLSHEET_DATABASE_SCHEMA to it, not to "
            f"{settings.database_schema}"
        )
    if manifest.schema_revision not in known_revisions():
        raise BadInput(
            f"The backup was made by a newer version of Callsheet ({manifest.callsheet}, schema revision "
            f"{manifest.schema_revision}): upgrade Callsheet here"
        )
    major = manifest.postgresql.split(".")[0]
    if int(major) > int(MAJOR_VERSION):
        raise BadInput(
            f"The backup was made by PostgreSQL {manifest.postgresql}, and this is PostgreSQL {MAJOR_VERSION}: upgrade "
            "Callsheet here"
        )


def _check_data_folder(folder: Path, *, replace: bool) -> None:
    if EmbeddedPostgres(folder / "postgres").is_in_use():
        raise Conflict(f"Callsheet processes use {folder}: stop them first")
    present = [name for name in _MOVED if _has_content(folder / name)]
    if present and not replace:
        raise Conflict(
            f"{folder} already has {' and '.join(present)}. Restore into another folder (--data-dir), or add "
            "--replace: then these are moved aside, not deleted"
        )


def _has_content(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder, which is locked. It is removed at the end, also what a killed process left there."""
    staging = folder / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    staging.mkdir(mode=0o711, exist_ok=True)
    lock = os.open(staging, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another process restores a backup into {folder}") from None
        EmbeddedPostgres(staging / "postgres").stop_left_server()
        try:
            for left in staging.iterdir():
                _remove(left)
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(lock)


def _copy_all(source: Source, target: Path | None, show: ShowProgress) -> None:
    """Copy all parts of a backup to a folder, and verify them; without a target, only verify them."""
    manifest = source.manifest
    with source.open(DUMP) as file:
        check_part(DUMP, _copy(DigestReader(file), target and target / DUMP, 0o600), manifest.database)
    if manifest.signing_key is not None:
        with source.open(KEY) as file:
            check_part(KEY, _copy(DigestReader(file), target and target / KEY, 0o600), manifest.signing_key)
    with show("files", manifest.files.bytes) as on_progress:
        copied = 0
        for each in source.files():
            place = target and target / FILES / each.key
            with source.open_file(each.key) as file:
                check_part(FILES + each.key, _copy(DigestReader(file), place, 0o444), each)
            on_progress(copied := copied + each.size)


def _copy(source: DigestReader, target: Path | None, mode: int) -> StoredPart:
    if target is None:
        return source.read_all()
    target.parent.mkdir(parents=True, exist_ok=True)
    return write_durably(source, target, mode=mode)


async def _restore_database(settings: Settings, manifest: Manifest, staging: Path, show: ShowProgress) -> None:
    embedded = EmbeddedPostgres(staging / "postgres")
    dsn = await asyncio.to_thread(embedded.start)
    try:
        with show("database", None):
            await restore_database(dsn, staging / DUMP)
        address = parse_address(dsn, schema=settings.database_schema)
        connection = await open_session(address, application_name="callsheet restore")
        try:
            found = {
                row["name"]: await connection.fetchval(f'SELECT count(*) FROM "{row["name"]}"')  # noqa: S608
                for row in await sql.table_names(connection)
            }
            if found != manifest.rows:
                raise BadInput(f"The restored database has other rows than the backup: {_difference(found, manifest)}")
        finally:
            await connection.close(timeout=5)
        await upgrade(address)
    finally:
        await asyncio.to_thread(embedded.stop)
    (staging / DUMP).unlink()


def _difference(found: dict[str, int], manifest: Manifest) -> str:
    names = sorted(set(found) | set(manifest.rows))
    different = [name for name in names if found.get(name) != manifest.rows.get(name)]
    return ", ".join(f"{name}: {found.get(name)} instead of {manifest.rows.get(name)}" for name in different[:10])


def _move_into_place(folder: Path, staging: Path, *, replace: bool) -> None:
    _check_data_folder(folder, replace=replace)  # again: a server may have started meanwhile
    aside = folder / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for name in _MOVED:
        if _has_content(folder / name):
            aside.mkdir(mode=0o711, exist_ok=True)
            (folder / name).rename(aside / name)
    for name in _MOVED:
        if (staging / name).exists():
            if (folder / name).is_dir():
                (folder / name).rmdir()
            (staging / name).rename(folder / name)
    sync_folder(folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
