"""What one consumer of events follows, and the events that were read for it."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from callsheet.domain.events import Event

FollowedEvent: TypeAlias = tuple[UUID, Event]
"""An execution id, and an event of that execution."""


@dataclass(slots=True, eq=False)
class Cursor:
    """The position of a follower in the events of one execution."""

    execution_id: UUID
    after: int
    """The number of the newest event that was read for it."""
    forever: bool


class EventFollower(AsyncIterator[FollowedEvent]):
    """Yields the events of any number of executions: those of each execution in order, each once, without gaps.

        with event_stream.follower() as follower:
            follower.add(execution_id, after=41)
            async for execution_id, event in follower:
                ...

    The iteration ends when all its executions have ended. With `waits_for_more`, it then waits for another `add`, and
    ends when the follower is closed. It raises NotFound for an execution that does not exist, and DatabaseUnavailable.
    After an error it can continue.

    Events are read when all those read before are consumed. So a slow consumer holds up no other one, and memory is
    bounded. To resume in another process, store the number of the last consumed event of each execution.
    """

    def __init__(
        self,
        *,
        on_add: Callable[["EventFollower", UUID], None],
        on_remove: Callable[["EventFollower", UUID], None],
        request_read: Callable[["EventFollower"], None],
        waits_for_more: bool = False,
    ) -> None:
        """Created by `EventStream.follower`, which is notified of each change."""
        self._on_add = on_add
        self._on_remove = on_remove
        self._request_read = request_read
        self._is_open = waits_for_more
        self._cursors: dict[UUID, Cursor] = {}
        # Not a dict: to take the first item of one again and again takes time that is quadratic in its size.
        self._unread: OrderedDict[UUID, None] = OrderedDict()
        """Executions that may have events to read, in the order of their notifications."""
        self._buffer: deque[FollowedEvent | Exception] = deque()
        self._changed = asyncio.Event()

    def __enter__(self) -> "EventFollower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of executions that have not ended."""
        return len(self._cursors)

    def add(self, execution_id: UUID, *, after: int = 0, forever: bool = False) -> None:
        """Follow an execution from the event after number `after`. `forever` follows it also after its end."""
        if execution_id not in self._cursors:
            self._on_add(self, execution_id)
        self._cursors[execution_id] = Cursor(execution_id, after, forever)
        self.mark_unread([execution_id])

    def remove(self, execution_id: UUID) -> None:
        """Stop to follow an execution. Events that were already read are still yielded."""
        if self._cursors.pop(execution_id, None) is not None:
            self._unread.pop(execution_id, None)
            self._on_remove(self, execution_id)
            self._changed.set()

    def close(self) -> None:
        """Follow nothing more, and discard what was read."""
        for execution_id in list(self._cursors):
            self.remove(execution_id)
        self._buffer.clear()
        self._is_open = False
        self._changed.set()

    async def __anext__(self) -> FollowedEvent:
        """Return the next event of any of the executions."""
        if not self._buffer and not await self._wait_for_events():
            raise StopAsyncIteration
        found = self._buffer.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    async def read(self) -> list[FollowedEvent]:
        """Return all events that were read together, at least one; none at the end of the iteration."""
        if not self._buffer and not await self._wait_for_events():
            return []
        found: list[FollowedEvent] = []
        while self._buffer:
            if isinstance(self._buffer[0], Exception):
                if found:
                    break
                raise self._buffer.popleft()  # type: ignore[misc]
            found.append(self._buffer.popleft())  # type: ignore[arg-type]
        return found

    async def _wait_for_events(self) -> bool:
        """Wait until there are events or an error. Return False at the end of the iteration."""
        while not self._buffer:
            if not self._cursors and not self._is_open:
                return False
            self._changed.clear()
            if self._unread:
                self._request_read(self)
            await self._changed.wait()
        return True

    # The rest is called by the event stream.

    @property
    def wants_read(self) -> bool:
        """Whether events should be read for it."""
        return bool(self._unread) and not self._buffer

    @property
    def cursors(self) -> list[Cursor]:
        """The positions in all its executions."""
        return list(self._cursors.values())

    def mark_unread(self, execution_ids: Iterable[UUID]) -> None:
        """Note that these executions may have new events."""
        self._unread |= dict.fromkeys(execution_ids)
        if self.wants_read:
            self._request_read(self)

    def mark_cursor_unread(self, cursor: Cursor) -> None:
        """Note that there may be new events after a cursor, if the follower still has it."""
        if self._cursors.get(cursor.execution_id) is cursor:
            self.mark_unread([cursor.execution_id])

    def take_unread(self, limit: int) -> list[Cursor]:
        """Return up to `limit` cursors to read now."""
        taken: list[Cursor] = []
        while self._unread and len(taken) < limit:
            execution_id, _ = self._unread.popitem(last=False)
            taken.append(self._cursors[execution_id])
        return taken

    def deliver(self, cursor: Cursor, events: list[Event], *, ended: bool, more: bool) -> None:
        """Add the events that were read at a cursor. `more`: there may be further ones."""
        if self._cursors.get(cursor.execution_id) is not cursor:
            return
        if events:
            cursor.after = events[-1].number
            self._buffer.extend((cursor.execution_id, event) for event in events)
            self._changed.set()
        if more:
            self._unread[cursor.execution_id] = None
        elif ended and not cursor.forever:
            self.remove(cursor.execution_id)

    def fail(self, cursor: Cursor, error: Exception, *, lasting: bool) -> None:
        """Raise an error to the consumer. `lasting`: a further read would fail too."""
        if self._cursors.get(cursor.execution_id) is not cursor:
            return
        if lasting:
            self.remove(cursor.execution_id)
        else:
            self._unread[cursor.execution_id] = None
        if lasting or not self._buffer:
            self._buffer.append(error)
        self._changed.set()
