"""Detection of a connection pooler that gives each transaction, or each statement, another session."""

import asyncio

import asyncpg

from callsheet.db.address import DatabaseAddress
from callsheet.db.session import open_session
from callsheet.domain.errors import ConfigurationError

_ROUNDS = 8
"""While other clients use the pooler, a connection may get the same session several times by chance."""
_TIMEOUT = 5.0
"""Seconds for one query. A pooler whose sessions are all in use does not respond."""


async def refuse_transaction_pooling(connection: asyncpg.Connection, address: DatabaseAddress) -> None:
    """Raise ConfigurationError if this connection changes its session between two transactions.

    A pooler is recognized by the process id in its greeting, which is not the one of the session. Its mode shows when a
    second client comes: in transaction mode this one gets the session of the first, or the first gets a new one.
    `connection` has no cache of statements: their names collide in a shared session.
    """
    try:
        session = await _session_of(connection)
    except asyncpg.PostgresConnectionError as error:
        if "statement pooling mode" in str(error):
            raise _transaction_pooling(address) from None
        raise
    if session == connection.get_server_pid():
        return
    other = await open_session(address, statement_cache_size=0)
    try:
        for _ in range(_ROUNDS):
            async with other.transaction():
                if await _session_of(other) == session or await _session_of(connection) != session:
                    raise _transaction_pooling(address)
    finally:
        other.terminate()


async def _session_of(connection: asyncpg.Connection) -> int:
    # In a transaction, so that a statement is prepared and executed in the same session.
    async with asyncio.timeout(_TIMEOUT), connection.transaction():
        pid: int = await connection.fetchval("SELECT pg_backend_pid()")
        return pid


def _transaction_pooling(address: DatabaseAddress) -> ConfigurationError:
    return ConfigurationError(
        f"The database at {address} is behind a connection pooler in transaction mode or statement mode (PgBouncer "
        "with pool_mode=transaction, port 6543 of Supabase, a host with -pooler of Neon). Callsheet needs sessions of "
        "its own, for LISTEN and for prepared statements, and has a pool of its own. Set CALLSHEET_DATABASE_URL to the "
        "address of the database itself or of a pooler in session mode. With Prisma, DIRECT_URL is that address."
    )
