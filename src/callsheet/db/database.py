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

T = TypeVar("T")
Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

log = structlog.get_logger(__name__)

DATABASE_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
"""What a database that restarts, fails over or is cut off answers with; it may work a moment later."""

PASSING = (*DATABASE_AWAY, OSError, TimeoutError)
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
            server_settings={"application_name": "callsheet", "jit": "off"},
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
            raise
        finally:
            try:
                await self._pool.release(connection, timeout=5)
            except PASSING:
                # The work is done or has failed already; a connection that cannot be given back is only thrown away.
                connection.terminate()

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
            except PASSING as error:
                if loop.time() + pause > end or isinstance(error, ssl.SSLCertVerificationError):
                    raise
                log.warning("database away, trying again", error=type(error).__name__, pause=round(pause, 2))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(pause * 2, 2)
