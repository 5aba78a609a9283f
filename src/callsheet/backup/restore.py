"""Restore a backup into a data folder.

Everything is written to `restoring/` in the data folder, checked, upgraded to the schema of this version, and then
moved into place. Until that, nothing of the data folder changes; what is replaced is moved aside, never deleted.
"""

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from callsheet.backup.copying import DigestReader, sync_folder, write_durably
from callsheet.backup.manifest import DUMP, FILES, KEY, Manifest, StoredPart
from callsheet.backup.progress import ShowProgress
from callsheet.backup.sources import Source, check_part, open_source
from callsheet.backup.staging import load_dump, open_staging
from callsheet.db.compatibility import known_revisions
from callsheet.db.embedded.initdb import MAJOR_VERSION
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.domain.errors import BadInput, ConfigurationError, Conflict
from callsheet.files.atomic_write import raise_disk_full
from callsheet.settings import Settings

_WINNERS = "winners"
"""Indexes of winners do not fit the restored database. They are built again from it."""


async def verify_backup(path: Path, *, show: ShowProgress) -> Manifest:
    """Read a whole backup and compare it with its manifest. Raises BadInput or NotFound for a damaged one.

    `pg_restore` has read its dump when it was made.
    """
    with open_source(path) as source:
        await asyncio.to_thread(_copy_all, source, None, show)
        return source.manifest


async def restore_backup(settings: Settings, path: Path, *, replace: bool, show: ShowProgress) -> Manifest:
    """Restore a backup into the data folder of the settings. Return its manifest.

    With `replace`, the database, files and signing key of the data folder are moved to `replaced-<time>` in it, unless
    the backup has none. Raises Conflict for a data folder that is in use, or not empty without `replace`; BadInput or
    NotFound for a damaged or incomplete backup, and one of a newer version; ConfigurationError for settings that
    contradict it.
    """
    with open_source(path) as source:
        _check_settings(settings, source.manifest)
        parts = _parts(source.manifest)
        _check_data_folder(settings.data_dir, parts, replace=replace)
        with raise_disk_full(settings.data_dir), open_staging(settings.data_dir) as staging:
            await asyncio.to_thread(_copy_all, source, staging, show)
            manifest = source.manifest
            await load_dump(staging, manifest.database_schema, manifest.rows, upgrades_schema=True, show=show)
            await asyncio.to_thread(_move_into_place, settings.data_dir, staging, parts, replace=replace)
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
    major = re.match(r"\d+", manifest.postgresql)
    if major is None or int(major[0]) > int(MAJOR_VERSION):
        raise BadInput(
            f"The backup was made by PostgreSQL {manifest.postgresql}, and this is PostgreSQL {MAJOR_VERSION}: upgrade "
            "Callsheet here"
        )


def _parts(manifest: Manifest) -> list[str]:
    """Return what the restore puts into the data folder. What a backup does not have stays as it is there."""
    files = ["files"] if manifest.files.included else []
    return [*files, *([KEY] if manifest.signing_key else []), "postgres"]


def _check_data_folder(folder: Path, parts: list[str], *, replace: bool) -> None:
    if EmbeddedPostgres(folder / "postgres").is_in_use():
        raise Conflict(f"Callsheet processes use {folder}: stop them first")
    present = [name for name in parts if _has_content(folder / name)]
    if present and not replace:
        raise Conflict(
            f"{folder} already has {' and '.join(present)}. Restore into another folder (--data-dir), or add "
            "--replace: then these are moved aside, not deleted"
        )


def _has_content(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


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


def _move_into_place(folder: Path, staging: Path, parts: list[str], *, replace: bool) -> None:
    for path, _, _ in os.walk(staging / FILES):
        sync_folder(Path(path))
    _check_data_folder(folder, parts, replace=replace)  # again: a server may have started meanwhile
    aside = folder / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for name in (*parts, _WINNERS):
        if _has_content(folder / name):
            aside.mkdir(mode=0o711, exist_ok=True)
            (folder / name).rename(aside / name)
    for name in parts:
        if (staging / name).exists():
            if (folder / name).is_dir():
                (folder / name).rmdir()
            (staging / name).rename(folder / name)
    sync_folder(folder)
