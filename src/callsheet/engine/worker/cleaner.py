"""Delete expired rows and cached files."""

from datetime import timedelta

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import StorageUnreachable
from callsheet.engine.uploads import delete_expired_uploads
from callsheet.files.cache import FileCache
from callsheet.files.storage import Storage

log = structlog.get_logger(__name__)


async def clean_up(
    database: Database, storage: Storage, cache: FileCache, *, interval: timedelta, upload_max_age: timedelta
) -> None:
    """Delete what has expired.

    That is: workers lost for more than a day, idempotency keys older than a week, provider webhooks older than 30 days,
    unused uploads, and old cached files. Cached files are skipped if another worker has cleaned the cache within the
    interval.
    """
    await database.retry(sql.delete_lost_workers, timeout=5)
    await database.retry(sql.delete_expired_keys, timeout=5)
    await database.retry(sql.delete_old_webhooks, timeout=5)
    try:
        uploads = await delete_expired_uploads(database, storage, max_age=upload_max_age)
        removed = await cache.clean_up(interval=interval)
    except StorageUnreachable as error:
        log.warning("could not delete expired files", error=error.message)
        return
    if uploads:
        log.info("deleted unused uploads", files=uploads)
    if removed:
        log.info("deleted old files from the cache", files=removed)
