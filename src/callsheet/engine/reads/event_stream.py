"""Live streams of the events of executions, for any number of followers."""

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator
from itertools import groupby
from typing import Any, TypeAlias
from uuid import UUID

import structlog

from callsheet.db.database import Database
from callsheet.db.listener import Listener
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.events import Event
from callsheet.domain.statuses import EXECUTION_ENDED
from callsheet.engine.reads.event_follower import Cursor, EventFollower
from callsheet.engine.reads.events import event_of

log = structlog.get_logger(__name__)

_FALLBACK_INTERVAL = 5.0
"""Seconds between reads without a notification, in case one was lost."""
_MAX_CURSORS = 1000
"""Executions of one query."""
_MAX_CHECKED = 20_000
"""Executions that one query checks for news."""
_MAX_EVENTS = 5000
"""Events of one query."""
_MAX_BYTES = 8 * 2**20
"""Data of the events of one query. Each follower gets at least one event."""
_PAUSE_PER_EXECUTION = 5e-6
"""Seconds between two reads for each followed execution: the more there are, the more are read by one query."""
_MAX_PAUSE = 0.05

_Batch: TypeAlias = list[tuple[EventFollower, Cursor]]


class EventStream:
    """Reads new events for all followers of a process: one LISTEN connection, and one query for up to 1,000 executions.

    The events of an execution are numbered without gaps, and a number is visible only when all smaller ones are. So a
    follower that continues after the last number it has seen misses nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: dict[str, set[EventFollower]] = defaultdict(set)
        """Followers by execution id, in the form of notifications."""
        self._requests: OrderedDict[EventFollower, None] = OrderedDict()
        """Followers that wait for a read, in turn."""
        self._requested = asyncio.Event()
        self._check_all = False
        """Notifications may have been lost, or name no executions."""
        self._reader: asyncio.Task[None] | None = None
        self._listener = Listener(
            database.address,
            [database.address.channel("events")],
            on_notify=lambda _, payload: self._wake_followers(payload),
            on_gap=lambda: self._wake_followers("*"),
            application_name="callsheet events",  # counted by `connection_facts`
        )

    @property
    def watchers(self) -> int:
        """Number of followers."""
        return len({follower for followers in self._followers.values() for follower in followers})

    @property
    def watched(self) -> int:
        """Number of executions that they follow."""
        return len(self._followers)

    async def run(self) -> None:
        """Listen until cancelled. Without it, followers read every few seconds."""
        await self._listener.run()

    def follower(self, *, waits_for_more: bool = False) -> EventFollower:
        """Return a new follower, which follows nothing yet. Close it at the end."""
        return EventFollower(
            on_add=self._add,
            on_remove=self._remove,
            request_read=self._request_read,
            waits_for_more=waits_for_more,
        )

    async def follow(self, execution_id: UUID, *, after: int = 0, forever: bool = False) -> AsyncGenerator[Event, None]:
        """Yield the events with a number greater than `after`, each once, in order, including future ones.

        Ends after the event that ends the execution, unless `forever`. Raises NotFound and DatabaseUnavailable.
        """
        with self.follower() as follower:
            follower.add(execution_id, after=after, forever=forever)
            async for _, event in follower:
                yield event

    def _add(self, follower: EventFollower, execution_id: UUID) -> None:
        self._followers[str(execution_id)].add(follower)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_until_unused(), name="event reader")

    def _remove(self, follower: EventFollower, execution_id: UUID) -> None:
        followers = self._followers[str(execution_id)]
        followers.discard(follower)
        if not followers:
            del self._followers[str(execution_id)]
        if not len(follower):
            self._requests.pop(follower, None)
        if not self._followers:
            self._requested.set()

    def _request_read(self, follower: EventFollower) -> None:
        self._requests[follower] = None
        self._requested.set()

    def _wake_followers(self, payload: str) -> None:
        if payload == "*":
            self._check_all = True
            self._requested.set()
            return
        for name in payload.split(","):
            # Other processes' executions, for most notifications.
            if name in self._followers:
                for follower in self._followers[name]:
                    follower.mark_unread([UUID(name)])

    async def _read_until_unused(self) -> None:
        loop = asyncio.get_running_loop()
        next_fallback = loop.time() + _FALLBACK_INTERVAL
        while self._followers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_fallback):
                    await self._requested.wait()
            self._requested.clear()
            if loop.time() >= next_fallback:
                self._check_all = True
                next_fallback = loop.time() + _FALLBACK_INTERVAL
            if self._check_all:
                self._check_all = False
                await self._mark_changed()
            while batch := self._next_batch():
                await self._read(batch)
            await asyncio.sleep(min(_MAX_PAUSE, len(self._followers) * _PAUSE_PER_EXECUTION))

    async def _mark_changed(self) -> None:
        """Find out which of all followed executions have new events: one query for up to 20,000 of them."""
        followers = {each for followers in self._followers.values() for each in followers}
        cursors = [(follower, cursor) for follower in followers for cursor in follower.cursors]
        for start in range(0, len(cursors), _MAX_CHECKED):
            checked = cursors[start : start + _MAX_CHECKED]
            try:
                changed = await self._with_news([cursor for _, cursor in checked])
            except Exception as error:  # noqa: BLE001 - the reads that follow raise it to the followers
                log.debug("could not check which executions have news", error=str(error))
                changed = list(range(len(checked)))
            for place in changed:
                follower, cursor = checked[place]
                follower.mark_cursor_unread(cursor)

    async def _with_news(self, cursors: list[Cursor]) -> list[int]:
        rows = await self._database.retry(
            lambda c: sql.executions_with_news(
                c, ids=[cursor.execution_id for cursor in cursors], after=[cursor.after for cursor in cursors]
            ),
            timeout=5,
        )
        return [row["place"] - 1 for row in rows]

    def _next_batch(self) -> _Batch:
        batch: _Batch = []
        while self._requests and len(batch) < _MAX_CURSORS:
            follower, _ = self._requests.popitem(last=False)
            if follower.wants_read:
                batch += [(follower, cursor) for cursor in follower.take_unread(_MAX_CURSORS - len(batch))]
        return batch

    async def _read(self, batch: _Batch) -> None:
        try:
            await self._deliver(batch)
        except Exception as error:  # noqa: BLE001 - raised by the followers
            for follower, cursor in batch:
                follower.fail(cursor, error, lasting=False)
        for follower in {follower: None for follower, _ in batch}:
            if follower.wants_read:
                self._request_read(follower)

    async def _deliver(self, batch: _Batch) -> None:
        # Followers at the same place of an execution get the same events, which are read once.
        places: dict[tuple[UUID, int], _Batch] = defaultdict(list)
        for follower, cursor in batch:
            places[cursor.execution_id, cursor.after].append((follower, cursor))
        keys = list(places)
        limit = max(1, _MAX_EVENTS // len(keys))
        rows = await self._database.retry(
            lambda c: sql.followed_events(
                c,
                ids=[execution_id for execution_id, _ in keys],
                after=[after for _, after in keys],
                limit=limit,
                max_bytes=max(1, _MAX_BYTES // len(keys)),
            ),
            timeout=5,
        )
        for place, found in groupby(rows, key=lambda row: row["place"]):
            execution_id, after = keys[place - 1]
            _deliver_one(execution_id, after, places[execution_id, after], list(found))


def _deliver_one(execution_id: UUID, after: int, followers: _Batch, rows: list[Any]) -> None:
    status = rows[0]["status"]
    if status is None:
        for follower, cursor in followers:
            follower.fail(cursor, NotFound(f"There is no execution {execution_id}."), lasting=True)
        return
    events = [event_of(row) for row in rows if row["number"] is not None]
    newest = events[-1].number if events else after
    for follower, cursor in followers:
        follower.deliver(cursor, events, ended=status in EXECUTION_ENDED, more=newest < rows[0]["last_event"])
