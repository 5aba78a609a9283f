"""Removing records that nobody needs any more."""

from callsheet.db.database import Database
from callsheet.db.statements import sql


async def tidy(database: Database) -> None:
    """Forget workers that were lost more than a day ago, with idempotency keys older than a week."""
    await database.retry(sql.forget_lost_workers, seconds=5)
    await database.retry(sql.forget_old_keys, seconds=5)
