"""PostgreSQL connection pool with retries while the database is unavailable."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import asyncpg
import structlog

from callsheet.db.address import DatabaseAddress
from callsheet.db.connect import connect, is_read_only
from callsheet.db.outage_log import OutageLog
from callsheet.db.outages import (
    TRANSIENT_ERRORS,
    ConnectionRejected,
    NoConnection,
    ReadOnlyDatabase,
    condemns_connection,
    is_fatal,
    unavailable,
)
from callsheet.db.session import as_address

T = TypeVar("T")
Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

log = structlog.get_logger(__name__)

FOREVER = float("inf")

_COMMAND_TIMEOUT = 30.0
_RELEASE_TIMEOUT = 5.0
"""Seconds to return a connection to the pool."""
_CANCEL_TIMEOUT = 1.0
"""The same after the cancellation of a query: the server must respond to the request to cancel it."""
_CLOSE_TIMEOUT = 2.0


class Database:
    """Connection pool. `retry` repeats work while the database is unavailable.

    async with Database(address) as database:
        job = await database.retry(lambda c: sql.get_job(c, id=job_id))
    """

    def __init__(self, address: DatabaseAddress | str, *, size: int = 8) -> None:
        """Raises ConfigurationError for an invalid address."""
        self.address = as_address(address)
        self._size = size
        self._pool: asyncpg.Pool | None = None
        self._shared: dict[Callable[[Database], Any], Any] = {}
        self.outage = OutageLog()
        """Log of its outages."""

    async def __aenter__(self) -> "Database":
        self._pool = await asyncpg.create_pool(
            # With a minimum, the pool itself would reconnect during an outage, and log each failure with a traceback.
            min_size=0,
            max_size=self._size,
            command_timeout=_COMMAND_TIMEOUT,
            max_inactive_connection_lifetime=120,
            reset=_keep_session,
            connect=lambda _address, **options: connect(self.address, **options),
        )
        try:
            # The first connection shows whether the address is right.
            async with self.connection():
                pass
        except BaseException:
            self._pool.terminate()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pool is not None  # noqa: S101 - entered before
        try:
            await asyncio.wait_for(self._pool.close(), timeout=_CLOSE_TIMEOUT)
        except TimeoutError:
            self._pool.terminate()

    @property
    def used_connections(self) -> int:
        """Connections of the pool that are in use."""
        return 0 if self._pool is None else self._pool.get_size() - self._pool.get_idle_size()

    @property
    def idle_connections(self) -> int:
        """Open connections of the pool that are not in use."""
        return 0 if self._pool is None else self._pool.get_idle_size()

    @property
    def max_connections(self) -> int:
        """Largest number of connections of the pool."""
        return self._size

    def terminate(self) -> None:
        """Close all connections at once, without waiting for the server. Queries in progress fail."""
        assert self._pool is not None, "the database is not open"  # noqa: S101
        self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Acquire a connection. After an error that condemns it, all connections of the pool are replaced.

        The others probably share its fate: their link is dead too, or they lead to the same read-only server.

        Raises NoConnection for errors of the network. The block must handle its own files elsewhere: outside, an error
        of the operating system is not one of the database.
        """
        assert self._pool is not None, "the database is not open"  # noqa: S101
        try:
            # Not the timeout of `acquire`, which costs a task for each acquisition.
            async with asyncio.timeout(_COMMAND_TIMEOUT):
                connection = await self._pool.acquire()
        except OSError as error:  # a timeout, too
            raise NoConnection(error) from error
        timeout = _RELEASE_TIMEOUT
        try:
            yield connection
        except asyncio.CancelledError:
            timeout = _CANCEL_TIMEOUT
            raise
        except Exception as error:
            if condemns_connection(error):
                with suppress(asyncpg.InterfaceError):  # the pool has discarded it already
                    connection.terminate()
                await self._pool.expire_connections()
            if is_fatal(error):
                raise ConnectionRejected(error) from error
            if isinstance(error, OSError):
                raise NoConnection(error) from error
            raise
        finally:
            try:
                await self._pool.release(connection, timeout=timeout)
            except TRANSIENT_ERRORS as error:
                # The work has already succeeded or failed, and the pool has discarded the connection.
                log.warning("could not release a connection to the pool", error=type(error).__name__)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Acquire a connection with an open transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def retry(
        self, work: Callable[[Connection], Awaitable[T]], *, timeout: float = 60, transaction: bool = False
    ) -> T:
        """Run `work` with a connection. Retry with backoff while the database is unavailable, up to `timeout` seconds.

        `work` must be idempotent: the response can be lost after a commit, and then it runs again. `transaction` runs
        each try in a transaction. Raises DatabaseUnavailable at the end of the timeout.
        """
        acquire = self.transaction if transaction else self.connection

        async def attempt() -> T:
            async with acquire() as connection:
                return await work(connection)

        return await self.repeat(attempt, timeout=timeout)

    async def repeat(self, attempt: Callable[[], Awaitable[T]], *, timeout: float = 60) -> T:
        """Run `attempt`, which acquires its own connection, with the retries of `retry`."""
        loop = asyncio.get_running_loop()
        deadline, delay = loop.time() + timeout, 0.02
        while True:
            try:
                result = await attempt()
                self.outage.succeeded()
                return result
            except TRANSIENT_ERRORS as error:
                if loop.time() + delay > deadline:
                    raise unavailable(error) from error
                self.outage.failed("query", error)
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(delay * 2, 2)

    async def check_writable(self) -> None:
        """Raise DatabaseUnavailable unless a connection of the pool can write."""

        async def check(connection: Connection) -> None:
            if await is_read_only(connection):
                raise ReadOnlyDatabase

        await self.retry(check, timeout=1)

    def shared(self, kind: "Callable[[Database], T]") -> T:
        """Return the one object of a kind for this database. The first call creates it."""
        if kind not in self._shared:
            self._shared[kind] = kind(self)
        found: T = self._shared[kind]
        return found


async def _keep_session(_connection: Connection) -> None:
    """Reset nothing. No user of the pool changes its session, and a reset costs a round trip at every release."""


class DedicatedConnection:
    """One connection outside the pool, for work that must not queue behind other work.

    `timeout` limits each `run`, in seconds, including the time to connect. `name` is that of its session in the
    database.
    """

    def __init__(self, address: DatabaseAddress, *, timeout: float, name: str = "callsheet heartbeat") -> None:
        self._address = address
        self._name = name
        self._timeout = timeout
        self._connection: asyncpg.Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work`. After an error or a timeout the connection is closed, and the next call reconnects."""
        try:
            async with asyncio.timeout(self._timeout):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self._address, application_name=self._name)
                return await work(self._connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection immediately."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
