"""Connections to PostgreSQL that outlive its restarts."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TypeAlias, TypeVar

import asyncpg
import structlog

from callsheet.domain.errors import DatabaseUnavailable

T = TypeVar("T")
Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

log = structlog.get_logger(__name__)

DATABASE_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,  # a failover on its way
    asyncpg.InsufficientResourcesError,  # its disk is full, among others
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What a database that restarts, fails over or is cut off answers with; it may work a moment later."""

TRANSIENT_ERRORS = (DatabaseUnavailable, *DATABASE_UNAVAILABLE, OSError, TimeoutError)
"""The same, with what the network adds; only for code that talks to nothing but the database."""

FOREVER = float("inf")

_COMMAND_TIMEOUT = 30.0


class Database:
    """A pool of connections, with a way to try again when the database was away for a moment."""

    def __init__(self, dsn: str, *, size: int = 8) -> None:
        self.dsn = dsn
        self._size = size
        self._pool: asyncpg.Pool | None = None

    async def __aenter__(self) -> "Database":
        self._pool = await asyncpg.create_pool(
            self.dsn,
            min_size=1,
            max_size=self._size,
            command_timeout=_COMMAND_TIMEOUT,
            max_inactive_connection_lifetime=120,
            server_settings={"application_name": "callsheet", "jit": "off", "lock_timeout": "10s"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pool is not None  # noqa: S101 - entered before
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection. One whose command ran out of time is thrown away, since its link may be dead."""
        assert self._pool is not None, "the database is not open"  # noqa: S101
        connection = await self._pool.acquire(timeout=_COMMAND_TIMEOUT)
        try:
            yield connection
        except TimeoutError:
            connection.terminate()
            await self._pool.expire_connections()
            raise
        finally:
            try:
                await self._pool.release(connection, timeout=5)
            except TRANSIENT_ERRORS as error:
                # The work is done or has failed already, and the pool has thrown the connection away.
                log.warning("a connection could not be given back", error=type(error).__name__)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def retry(
        self, work: Callable[[Connection], Awaitable[T]], *, seconds: float = 60, transaction: bool = False
    ) -> T:
        """Do `work` with a connection, again and again while the database is away, for at most `seconds`.

        Only for work that may be done twice: an answer can be lost after the work took effect.
        """
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + seconds, 0.02
        lend = self.transaction if transaction else self.connection
        while True:
            try:
                async with lend() as connection:
                    return await work(connection)
            except TRANSIENT_ERRORS as error:
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise
                if loop.time() + pause > end:
                    raise DatabaseUnavailable(reason=type(error).__name__) from error
                log.warning("database away, trying again", error=type(error).__name__, pause=round(pause, 2))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(pause * 2, 2)


class OwnConnection:
    """One connection outside the pool, for work that must not wait behind any other.

    `timeout` is how many seconds one piece of work may take, connecting included.
    """

    def __init__(self, dsn: str, *, timeout: float) -> None:
        self._dsn = dsn
        self._timeout = timeout
        self._connection: asyncpg.Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work`; when it fails, or takes too long, the next call connects anew."""
        try:
            async with asyncio.timeout(self._timeout):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._dsn, server_settings={"application_name": "callsheet beat"}
                    )
                return await work(self._connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
