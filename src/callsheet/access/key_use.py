"""Records when API keys were last used."""

import asyncio
import time
from uuid import UUID

import structlog

from callsheet.db.database import Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql

log = structlog.get_logger(__name__)

_INTERVAL = 60.0
"""Seconds between two writes for a key."""


class KeyUse:
    """Writes the time of the last use of a key, at most once a minute, without delaying the request."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written_at: dict[UUID, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def record(self, key_id: UUID) -> None:
        """Note that a key is used now."""
        now = time.monotonic()
        if now - self._written_at.get(key_id, float("-inf")) < _INTERVAL:
            return
        self._written_at[key_id] = now
        task = asyncio.create_task(self._write(key_id), name="last use of a key")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, key_id: UUID) -> None:
        try:
            await self._database.retry(lambda c: sql.mark_key_used(c, id=key_id), timeout=5)
        except TRANSIENT_ERRORS as error:
            log.warning("could not store the last use of an API key", error=type(error).__name__)
