"""Follow the clock of the database, so that ids are ordered by it."""

import time

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.clock import follow_clock


async def follow_database_clock(database: Database) -> None:
    """Read the clock of the database. Repeat it now and then: the clocks of two machines drift apart."""

    async def read(connection: Connection) -> None:
        asked = time.monotonic()
        now = await sql.database_time(connection)
        follow_clock(now, asked=asked, responded=time.monotonic())

    await database.retry(read, timeout=5)
