"""One read replica: its connections, and how far it is behind its primary."""

import asyncio
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import replace

from callsheet.db.address import DatabaseAddress
from callsheet.db.database import Connection, Database

_POSITION = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_REPLAYED = "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0'::pg_lsn"
_SAMPLES = 600
_TIMEOUT = 5.0
"""Seconds for one look at a replica."""


class PrimaryPositions:
    """Where the write-ahead log of the primary was at which time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    async def sample(self, connection: Connection) -> None:
        """Note the position of the primary."""
        asked = time.monotonic()
        self._samples.append((asked, int(await connection.fetchval(_POSITION))))

    def lag_of(self, position: int) -> float | None:
        """Return how many seconds a server with everything up to this position is behind at most. None: unknown.

        Measured by the newest sample that it has passed, so that neither the clocks of the servers count, nor the time
        in which nothing was written.
        """
        passed = next((at for at, sampled in reversed(self._samples) if sampled <= position), None)
        return None if passed is None else time.monotonic() - passed

    @property
    def known_for(self) -> float:
        """Seconds since the first sample."""
        return time.monotonic() - self._samples[0][0] if self._samples else 0.0


class Replica:
    """A read replica that may be away. `check` looks at it; `database` is its pool while it can be used."""

    def __init__(self, address: DatabaseAddress, *, size: int) -> None:
        self.name = str(address).partition("/")[0]
        """Host and port."""
        # Otherwise, only a server that can write is accepted.
        self._address = replace(address, target_session_attrs="any")
        self._size = size
        self._stack = AsyncExitStack()
        self._pool: Database | None = None
        self.database: Database | None = None
        """Its connections; None: it must not be used."""

    async def check(self, primary: PrimaryPositions, *, max_lag: float) -> str | None:
        """Decide whether it can be used: it is at most `max_lag` seconds behind. Return the reason if it is not.

        Soon after the start, it is not known how far behind it is. Then it is not used either, without a reason.
        Raises one of TRANSIENT_ERRORS if it is away.
        """
        try:
            async with asyncio.timeout(_TIMEOUT):
                if self._pool is None:
                    self._pool = await self._stack.enter_async_context(Database(self._address, size=self._size))
                async with self._pool.connection() as connection:
                    is_replica, position = await connection.fetchrow(_REPLAYED)
        except BaseException:
            self.database = None
            raise
        self.database = None
        if not is_replica or position is None:
            return "it is not a replica"
        lag = primary.lag_of(int(position))
        if (primary.known_for if lag is None else lag) > max_lag:
            behind = "far" if lag is None else f"{lag:.1f} s"
            return f"it is {behind} behind its primary; the limit is {max_lag:g} s"
        self.database = None if lag is None else self._pool
        return None

    async def close(self) -> None:
        """Close its connections."""
        self.database = None
        await self._stack.aclose()
