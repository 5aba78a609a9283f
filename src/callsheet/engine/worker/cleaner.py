"""Removing what nobody needs any more."""

from datetime import timedelta

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import StorageUnreachable
from callsheet.files.cache import FileCache

log = structlog.get_logger(__name__)


async def clean_up(database: Database, cache: FileCache, *, interval: timedelta) -> None:
    """Forget what nobody asks for any more.

    Workers that were lost more than a day ago, idempotency keys older than a week, webhooks of providers older than a
    month, and old cached files; the files only if no worker has looked through them within the interval.
    """
    await database.retry(sql.delete_lost_workers, seconds=5)
    await database.retry(sql.delete_expired_keys, seconds=5)
    await database.retry(sql.delete_old_webhooks, seconds=5)
    try:
        removed = await cache.clean_up(interval=interval)
    except StorageUnreachable as error:
        log.warning("the cache was not tidied", error=error.message)
        return
    if removed:
        log.info("old files were removed from the cache", files=removed)
