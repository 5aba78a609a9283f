"""Live streams of the events of executions, for any number of subscribers."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator
from uuid import UUID

from callsheet.db.database import Database
from callsheet.db.listener import Listener
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.records import Event
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.reads.events import events_after

_FALLBACK_INTERVAL = 5.0
"""Seconds between reads without a notification, in case one was lost."""
_PAGE_SIZE = 500


class EventStream:
    """Notifies subscribers of new events. One LISTEN connection serves all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._listener = Listener(
            database.dsn,
            ["callsheet_events"],
            on_notify=lambda _, payload: self._wake_subscribers(payload),
            on_gap=lambda: self._wake_subscribers("*"),
        )

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._listener.run()

    async def follow(self, execution_id: UUID, *, after: int = 0, forever: bool = False) -> AsyncGenerator[Event, None]:
        """Yield the events with a number greater than `after`, each once, in order, including future ones.

        Ends after the event that ends the execution, unless `forever`. Raises NotFound.
        """
        await self._has_ended(execution_id, after)
        wake = asyncio.Event()
        self._subscribers[execution_id].add(wake)
        try:
            while True:
                wake.clear()
                while events := await events_after(self._database, execution_id, after, limit=_PAGE_SIZE):
                    for event in events:
                        after = event.number
                        yield event
                if not forever and await self._has_ended(execution_id, after):
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), _FALLBACK_INTERVAL)
        finally:
            self._subscribers[execution_id].discard(wake)
            if not self._subscribers[execution_id]:
                del self._subscribers[execution_id]

    async def _has_ended(self, execution_id: UUID, after: int) -> bool:
        row = await self._database.retry(lambda c: sql.get_execution(c, id=execution_id), timeout=5)
        if row is None:
            raise NotFound(f"There is no execution {execution_id}.")
        return row["status"] in EXECUTION_ENDED and row["last_event"] <= after

    def _wake_subscribers(self, payload: str) -> None:
        if payload == "*":
            wakes = [wake for subscribers in self._subscribers.values() for wake in subscribers]
        else:
            wakes = [wake for text in payload.split(",") for wake in self._subscribers.get(UUID(text), ())]
        for wake in wakes:
            wake.set()
