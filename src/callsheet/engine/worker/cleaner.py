"""Delete expired rows and cached files."""

from datetime import UTC, datetime, timedelta

import structlog

from callsheet.db.database import Database
from callsheet.db.statements import Statement, sql
from callsheet.domain.errors import StorageRejected, StorageUnreachable
from callsheet.engine.uploads import delete_expired_uploads
from callsheet.files.cache import FileCache
from callsheet.files.storage import Storage

log = structlog.get_logger(__name__)


_UNFINISHED_AFTER = timedelta(days=2)
"""Age of an upload that can no longer be in progress."""


_LANES_KEPT = timedelta(days=30)
"""Time that lanes set by hand are kept for a worker that is not there."""

_BATCH = 1000
"""Sent webhooks or status pushes that one statement deletes."""


async def clean_up(
    database: Database,
    storage: Storage,
    cache: FileCache,
    *,
    interval: timedelta,
    upload_max_age: timedelta,
    webhook_history: timedelta,
    audit_history: timedelta,
    schedule_history: timedelta,
) -> None:
    """Delete what has expired.

    That is: workers lost for more than a day, lanes set by hand for workers that have not been there for a month,
    expired sessions of the console, provider webhooks older than 30 days, audit entries and bulk actions older than
    `audit_history`, runs of schedules older than `schedule_history`, webhooks and status pushes that were sent
    before `webhook_history`, public URLs of servers that have stopped, figures of machines that have stopped, unused
    uploads, old cached files, and the parts of uploads that were never completed. Cached files are skipped if another
    worker has cleaned the cache within the interval.
    """
    await database.retry(sql.delete_lost_workers, timeout=5)
    await database.retry(lambda c: sql.delete_unused_lanes(c, max_age=_LANES_KEPT.total_seconds()), timeout=5)
    await database.retry(sql.delete_expired_sessions, timeout=5)
    await database.retry(sql.delete_old_webhooks, timeout=5)
    await database.retry(sql.delete_old_public_urls, timeout=5)
    await database.retry(sql.delete_old_scratch_spaces, timeout=5)
    for delete_old in (sql.delete_old_outbox, sql.delete_old_status_pushes):
        await _delete_in_batches(database, delete_old, webhook_history)
    for delete_old in (sql.delete_old_audit_entries, sql.delete_old_bulk_actions):
        await _delete_in_batches(database, delete_old, audit_history)
    await _delete_in_batches(database, sql.delete_old_schedule_runs, schedule_history)
    try:
        uploads = await delete_expired_uploads(database, storage, max_age=upload_max_age)
        removed = await cache.clean_up(interval=interval)
        aborted = await storage.abort_unfinished_uploads(before=datetime.now(UTC) - _UNFINISHED_AFTER)
    except (StorageRejected, StorageUnreachable) as error:
        log.warning("could not clean the storage", error=error.message)
        return
    if uploads or removed or aborted:
        log.info("deleted old files", uploads=uploads, cached=removed, unfinished_uploads=aborted)


async def _delete_in_batches(database: Database, delete_old: Statement, max_age: timedelta) -> None:
    deleted = _BATCH
    while deleted == _BATCH:
        deleted = await database.retry(
            lambda c: delete_old(c, max_age=max_age.total_seconds(), limit=_BATCH), timeout=5
        )
