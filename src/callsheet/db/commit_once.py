"""Commit a transaction exactly once, also when the response to a commit is lost."""

from collections.abc import Awaitable, Callable

import asyncpg

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.domain.errors import DatabaseUnavailable


async def commit_once(database: Database, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Run `work` in a transaction until one is committed, and wait for the database without a limit.

    For writes that are not idempotent, such as inserts of events: when a connection breaks during a commit, the status
    of the transaction shows whether it must run again. Raises the errors of `work` that are not transient.
    """
    transaction: str | None = None

    async def attempt() -> None:
        nonlocal transaction
        async with database.connection() as connection:
            if transaction is not None and await _is_committed(connection, transaction):
                return
            async with connection.transaction():
                transaction = await connection.fetchval("SELECT pg_current_xact_id()::text")
                await work(connection)

    await database.repeat(attempt, timeout=FOREVER)


async def _is_committed(connection: Connection, transaction: str) -> bool:
    try:
        status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", transaction)
    except asyncpg.InvalidParameterValueError:
        # After a failover, the new primary has not seen this transaction.
        return False
    if status == "in progress":
        raise DatabaseUnavailable("The server has not noticed yet that the connection of a transaction broke.")
    return bool(status == "committed")
