"""Delete expired rows and cached files."""

from datetime import timedelta

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import StorageRejected, StorageUnreachable
from callsheet.files.cache import FileCache

log = structlog.get_logger(__name__)


async def clean_up(database: Database, cache: FileCache, *, interval: timedelta) -> None:
    """Delete what has expired.

    That is: workers lost for more than a day, idempotency keys older than a week, provider webhooks older than 30 days,
    and old cached files. Files are skipped if another worker has cleaned the cache within the interval.
    """
    await database.retry(sql.delete_lost_workers, timeout=5)
    await database.retry(sql.delete_expired_keys, timeout=5)
    await database.retry(sql.delete_old_webhooks, timeout=5)
    try:
        removed = await cache.clean_up(interval=interval)
    except (StorageRejected, StorageUnreachable) as error:
        log.warning("could not clean the cache", error=error.message)
        return
    if removed:
        log.info("deleted old files from the cache", files=removed)
