"""Following the events of executions as they are stored, for any number of watchers."""

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
from callsheet.engine.reads.views import events_after

_SLOW_LOOK = 5.0
_PAGE = 500


class EventStream:
    """Wakes watchers when their execution has new events; one LISTEN connection serves them all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bells: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._listener = Listener(
            database.dsn,
            ["callsheet_events"],
            heard=lambda _, payload: self._wake_subscribers(payload),
            on_gap=lambda: self._wake_subscribers("*"),
        )

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._listener.run()

    async def follow(self, execution_id: UUID, *, after: int = 0, forever: bool = False) -> AsyncGenerator[Event, None]:
        """Yield the events after number `after`, each once and in order, as they come.

        Ends after the event that ends the execution, unless `forever`. Raises NotFound.
        """
        await self._has_ended(execution_id, after)
        bell = asyncio.Event()
        self._bells[execution_id].add(bell)
        try:
            while True:
                bell.clear()
                while events := await events_after(self._database, execution_id, after, most=_PAGE):
                    for event in events:
                        after = event.number
                        yield event
                if not forever and await self._has_ended(execution_id, after):
                    return
                # A look now and then stands behind the wake-ups.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), _SLOW_LOOK)
        finally:
            self._bells[execution_id].discard(bell)
            if not self._bells[execution_id]:
                del self._bells[execution_id]

    async def _has_ended(self, execution_id: UUID, after: int) -> bool:
        row = await self._database.retry(lambda c: sql.get_execution(c, id=execution_id), seconds=5)
        if row is None:
            raise NotFound(f"There is no execution {execution_id}.")
        return row["status"] in EXECUTION_ENDED and row["last_event"] <= after

    def _wake_subscribers(self, payload: str) -> None:
        if payload == "*":
            bells = [bell for bells in self._bells.values() for bell in bells]
        else:
            bells = [bell for text in payload.split(",") for bell in self._bells.get(UUID(text), ())]
        for bell in bells:
            bell.set()
