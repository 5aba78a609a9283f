"""Reads that may be a moment old: from read replicas, else from the primary."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Self, TypeVar

import asyncpg
import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.outages import DATABASE_ERRORS, TRANSIENT_ERRORS, outage_details
from callsheet.db.replica import PrimaryPositions, Replica

T = TypeVar("T")

log = structlog.get_logger(__name__)

_REPLICA_TIMEOUT = 10.0
"""Seconds for the work on a replica. Then the primary does it."""


class ReadDatabase(Database):
    """Answers reads from replicas that are at most `max_lag` seconds behind, in turn; without one, from the primary.

    Use it like `Database` for lists, searches and counts only. What a client must see at once after its own write is
    read from the primary. A replica that is away or behind is reported once, and again when it is back.

        async with ReadDatabase(primary, [Replica(address, size=8)], max_lag=5) as reads:
            rows = await reads.retry(sql.list_plans)
    """

    def __init__(self, primary: Database, replicas: Sequence[Replica], *, max_lag: float) -> None:
        super().__init__(primary.address)
        self._primary = primary
        self._replicas = replicas
        self._max_lag = max_lag
        self._positions = PrimaryPositions()
        self._turns = count()
        self._troubles: dict[str, str] = {}
        """Replica → why it is not used."""
        self._checking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # Replicas are used from the first check on: a start does not wait for one that is away.
        self._checking = asyncio.create_task(self._check_forever(), name="read replicas")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._checking is not None  # noqa: S101 - entered before
        self._checking.cancel()
        await asyncio.gather(self._checking, return_exceptions=True)
        await asyncio.gather(*(replica.close() for replica in self._replicas))

    async def retry(
        self, work: Callable[[Connection], Awaitable[T]], *, timeout: float = 60, transaction: bool = False
    ) -> T:
        """Run `work`, which only reads, once on a replica; without a result, on the primary, as `Database.retry`."""
        if (replica := self._next_replica()) is not None and replica.database is not None:
            acquire = replica.database.transaction if transaction else replica.database.connection
            try:
                async with asyncio.timeout(_REPLICA_TIMEOUT), acquire() as connection:
                    return await work(connection)
            except asyncpg.SerializationError:
                log.debug("a query conflicts with the replay of a replica", replica=replica.name)
            except TRANSIENT_ERRORS as error:
                replica.database = None
                self._note(replica, outage_details(error))
        return await self._primary.retry(work, timeout=timeout, transaction=transaction)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Acquire a connection of a replica, else of the primary."""
        replica = self._next_replica()
        database = self._primary if replica is None or replica.database is None else replica.database
        async with database.connection() as connection:
            yield connection

    def _next_replica(self) -> Replica | None:
        usable = [replica for replica in self._replicas if replica.database is not None]
        return usable[next(self._turns) % len(usable)] if usable else None

    async def _check_forever(self) -> None:
        while True:
            await self._check()
            await asyncio.sleep(min(1.0, self._max_lag / 4))

    async def _check(self) -> None:
        try:
            async with self._primary.connection() as connection:
                await self._positions.sample(connection)
        except DATABASE_ERRORS as error:
            # The primary reports its own outages. Replicas stay in use until they are known to be behind.
            log.debug("could not read the position of the primary", error=outage_details(error))
        await asyncio.gather(*(self._check_one(replica) for replica in self._replicas))

    async def _check_one(self, replica: Replica) -> None:
        try:
            self._note(replica, await replica.check(self._positions, max_lag=self._max_lag))
        except DATABASE_ERRORS as error:
            self._note(replica, outage_details(error))

    def _note(self, replica: Replica, trouble: str | None) -> None:
        """Log the first trouble of a replica, and its end."""
        if trouble is not None:
            record = log.debug if replica.name in self._troubles else log.warning
            record("a read replica is not used: the primary answers instead", replica=replica.name, reason=trouble)
            self._troubles[replica.name] = trouble
        elif self._troubles.pop(replica.name, None) is not None:
            log.info("a read replica is used again", replica=replica.name)
