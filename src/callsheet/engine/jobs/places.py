"""Places: how many executions of an API key are in progress, with a fair share for each key."""

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.engine.jobs.changes import Changes

log = structlog.get_logger(__name__)

_BATCH_SIZE = 200
_REASON = "place"


async def give_places(database: Database, max_running_of_all: int | None) -> int:
    """Start executions that wait for a place, as the limits of their keys allow. Returns their number.

    A free place goes to the key with the fewest executions in progress, and to its oldest one. `max_running_of_all`
    limits the executions of all keys together. Any number of processes may do this concurrently.
    """
    total = 0
    while started := await database.retry(lambda c: _give_places(c, max_running_of_all), timeout=10, transaction=True):
        total += started
    return total


async def try_to_give_places(database: Database, max_running_of_all: int | None) -> None:
    """Give places after a submission. If the database does not respond, a worker does it later."""
    try:
        await give_places(database, max_running_of_all)
    except TRANSIENT_ERRORS as error:
        log.warning("could not give a place to an execution", error=type(error).__name__)


async def _give_places(connection: Connection, max_running_of_all: int | None) -> int:
    if not await sql.has_awaiting_executions(connection):
        return 0
    # One at a time, so that no two count the same free place.
    await sql.lock_places(connection)
    next_ones = await sql.executions_to_start(connection, max_running=max_running_of_all, limit=_BATCH_SIZE)
    ids = [row["id"] for row in next_ones]
    if not ids:
        return 0
    await sql.lock_executions(connection, ids=ids)
    given = await sql.give_places(connection, ids=ids)
    changes = Changes()
    for row in await sql.queue_first_jobs(connection, ids=[row["id"] for row in given]):
        if row["status"] != "pending":
            changes.add_ready(row, _REASON)
    await changes.record(connection)
    return len(given)
