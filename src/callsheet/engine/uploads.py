"""Uploads: files that clients send for their plans, stored once per content."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import BadParams, DigestMismatch, InvalidState, NotFound, Problem, QuotaExceeded, TooLarge
from callsheet.domain.ids import new_id
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.media_types import guess_media_type
from callsheet.files.object_keys import UPLOADS, upload_key
from callsheet.files.storage import Storage
from callsheet.settings import Settings

_SHA256 = re.compile("[0-9a-f]{64}")
_BATCH_SIZE = 100


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file, complete or not."""

    id: UUID
    key: str
    sha256: str
    size: int
    """Bytes of the complete file."""
    media_type: str | None
    """None: not complete."""
    used_at: datetime
    completed_at: datetime | None

    @property
    def source(self) -> str:
        """The media source that names the file in a plan."""
        return f"storage:{self.key}"

    @property
    def direct_key(self) -> str:
        """The key under which a client puts the file directly into the bucket."""
        return f"{UPLOADS}/incoming/{self.id}"


async def announce_upload(
    database: Database, storage: Storage, settings: Settings, *, sha256: str, size: int, name: str
) -> Upload:
    """Return the upload for a file with this digest, size in bytes, and the extension of `name`.

    It is complete if the same file was uploaded before. Raises BadParams for invalid values, TooLarge for a file above
    `upload_max_bytes`, and QuotaExceeded if all uploads together would exceed `upload_quota_bytes`.
    """
    _check_announcement(sha256, size, settings)
    key = upload_key(sha256, name)
    others = await database.retry(lambda c: sql.other_uploads_size(c, key=key), timeout=5)
    if others + size > settings.upload_quota_bytes:
        raise QuotaExceeded(
            f"The file has {size:,} bytes, and of the quota of {settings.upload_quota_bytes:,} bytes for uploads "
            f"(CALLSHEET_UPLOAD_QUOTA_BYTES), {others:,} are used. Unused uploads are deleted after "
            f"{settings.upload_max_age} (CALLSHEET_UPLOAD_MAX_AGE)."
        )
    row = await database.retry(
        lambda c: sql.announce_upload(c, id=new_id(), key=key, sha256=sha256, size=size), timeout=5
    )
    upload = Upload(**row)
    if upload.size != size:
        raise BadParams([Problem("size", "wrong_size", f"the file with this digest has {upload.size:,} bytes")])
    if upload.completed_at is not None and not await _is_stored(storage, key):
        await database.retry(lambda c: sql.reopen_upload(c, id=upload.id), timeout=5)
        return await get_upload(database, upload.id)
    return upload


def _check_announcement(sha256: str, size: int, settings: Settings) -> None:
    problems = []
    if not _SHA256.fullmatch(sha256):
        problems.append(Problem("sha256", "bad_digest", "a SHA-256 has 64 hexadecimal digits, in lower case"))
    if size < 0:
        problems.append(Problem("size", "out_of_range", f"the size in bytes is 0 or more, not {size}"))
    if problems:
        raise BadParams(problems, "The upload is invalid")
    if size > settings.upload_max_bytes:
        raise TooLarge(
            f"The file has {size:,} bytes; at most {settings.upload_max_bytes:,} are allowed "
            "(CALLSHEET_UPLOAD_MAX_BYTES)."
        )


async def _is_stored(storage: Storage, key: str) -> bool:
    try:
        await storage.head(key)
    except NotFound:
        return False
    return True


async def get_upload(database: Database, upload_id: UUID) -> Upload:
    """Return an upload. Raises NotFound."""
    row = await database.retry(lambda c: sql.get_upload(c, id=upload_id), timeout=5)
    if row is None:
        raise NotFound(f"There is no upload {upload_id}.")
    return Upload(**row)


async def list_uploads(database: Database, *, before: UUID | None, limit: int) -> list[Upload]:
    """Return one page of uploads, newest first. `before` is the last id of the previous page."""
    rows = await database.retry(lambda c: sql.list_uploads(c, before=before, limit=limit), timeout=5)
    return [Upload(**row) for row in rows]


async def find_upload(database: Database, key: str) -> Upload:
    """Return a complete upload by its key. Raises NotFound."""
    row = await database.retry(lambda c: sql.get_upload_by_key(c, key=key), timeout=5)
    if row is None:
        raise NotFound(f"There is no upload '{key}'.")
    return Upload(**row)


async def complete_upload(database: Database, storage: Storage, upload: Upload, path: Path) -> Upload:
    """Verify the contents of a complete file, and store it. Raises DigestMismatch and DiskFull."""
    # The contents decide. Text has no signature, so there the extension does.
    media_type = await asyncio.to_thread(sniff_media_type, path) or guess_media_type(upload.key)
    stored = await storage.put(upload.key, path, media_type=media_type)
    if stored.sha256 != upload.sha256:
        await storage.delete([upload.key])
        raise DigestMismatch(
            f"The file has the SHA-256 {stored.sha256}, but {upload.sha256} was announced. It was deleted; send it "
            "again."
        )
    row = await database.retry(lambda c: sql.complete_upload(c, id=upload.id, media_type=media_type), timeout=5)
    if row is None:
        raise NotFound(f"There is no upload {upload.id} any more; announce it again.")
    return Upload(**row)


async def mark_uploads_used(connection: Connection, keys: set[str]) -> None:
    """Postpone the expiry of uploads that a submitted plan names."""
    await sql.mark_uploads_used(connection, keys=sorted(keys))


async def delete_upload(database: Database, storage: Storage, upload_id: UUID) -> None:
    """Delete an upload and its file.

    Raises NotFound, InvalidState while an execution that has not ended names it, and StorageUnreachable.
    """
    async with database.transaction() as connection:
        # A statement of its own: the next one sees a submission that held the lock.
        row = await sql.lock_upload(connection, id=upload_id)
        if row is None:
            raise NotFound(f"There is no upload {upload_id}.")
        upload = Upload(**row)
        execution = await sql.execution_that_uses_upload(connection, key=upload.key)
        if execution is not None:
            raise InvalidState(f"The execution {execution} has not ended and uses the upload; cancel it first.")
        if not await sql.may_delete_files(connection):
            raise InvalidState("A backup is being made, which needs the file; delete it afterwards.")
        await storage.delete([upload.key, upload.direct_key])
        await sql.delete_uploads(connection, ids=[upload_id])


async def delete_expired_uploads(database: Database, storage: Storage, *, max_age: timedelta) -> int:
    """Delete uploads that were not used for this time and that no unfinished execution names. Return their number.

    While a backup is made, which may need them, they stay. Raises StorageUnreachable.
    """
    deleted = 0
    while True:
        # The rows stay locked until the files are deleted, so that no client finds such an upload complete.
        async with database.transaction() as connection:
            if not await sql.may_delete_files(connection):
                return deleted
            rows = await sql.lock_expired_uploads(connection, max_age=max_age.total_seconds(), limit=_BATCH_SIZE)
            await storage.delete([row["key"] for row in rows])
            await storage.delete([f"{UPLOADS}/incoming/{row['id']}" for row in rows])
            await sql.delete_uploads(connection, ids=[row["id"] for row in rows])
        deleted += len(rows)
        if len(rows) < _BATCH_SIZE:
            return deleted
