"""Events of running jobs that wait to be stored."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from callsheet.domain.errors import DatabaseUnavailable
from callsheet.domain.event_types import EventType
from callsheet.domain.json_storage import shown_json
from callsheet.queue.claim import ClaimedJob


@dataclass(frozen=True, slots=True)
class BufferedEvent:
    """An event of a job."""

    job: ClaimedJob
    kind: EventType
    data: str
    """JSON text."""


@dataclass(slots=True)
class EventLoad:
    """A number of events, and the characters of their data."""

    events: int = 0
    characters: int = 0

    def exceeds(self, other: "EventLoad") -> bool:
        """Return whether one of the two numbers is above that of another load."""
        return self.events > other.events or self.characters > other.characters


WAIT_ABOVE = EventLoad(1_000, 8 * 2**20)
"""Buffered events of one job, above which a publication waits for the database."""
MAX_PER_JOB = EventLoad(10_000, 64 * 2**20)
"""Buffered events of one job, above which a publication that does not wait fails."""
BATCH = EventLoad(1_000, 2 * 2**20)
"""Events that are stored together."""


class EventBuffer:
    """The events of all runs of a worker, in the order of their publication. Nothing in it is ever dropped.

    The memory is bounded for each job: an operation that awaits its publications waits while much is buffered, and the
    publications of one that does not await them fail at the limit.
    """

    def __init__(self) -> None:
        self._events: deque[BufferedEvent] = deque()
        self._loads: defaultdict[UUID, EventLoad] = defaultdict(EventLoad)
        self._removed = asyncio.Event()

    def add(self, job: ClaimedJob, kind: EventType, data: Mapping[str, object]) -> "Publication":
        """Add an event. Raises DatabaseUnavailable at the limit of the job."""
        event = BufferedEvent(job, kind, shown_json(data))
        load = self._loads[job.id]
        if EventLoad(load.events + 1, load.characters + len(event.data)).exceeds(MAX_PER_JOB) and load.events:
            raise DatabaseUnavailable(
                f"{load.events:,} events of this job wait for the database. Await job.log and job.publish, so that the "
                "operation waits too."
            )
        load.events += 1
        load.characters += len(event.data)
        self._events.append(event)
        return Publication(self, job.id)

    def contains(self, job: UUID) -> bool:
        """Return whether an event of this job is buffered."""
        return job in self._loads

    def first(self) -> list[BufferedEvent]:
        """Return the oldest events, as many as one statement should store. They stay in the buffer."""
        batch: list[BufferedEvent] = []
        load = EventLoad()
        for event in self._events:
            load.events += 1
            load.characters += len(event.data)
            if batch and load.exceeds(BATCH):
                break
            batch.append(event)
        return batch

    def remove_first(self, count: int) -> None:
        """Remove the oldest events: they are stored."""
        for _ in range(count):
            event = self._events.popleft()
            load = self._loads[event.job.id]
            load.events -= 1
            load.characters -= len(event.data)
            if not load.events:
                del self._loads[event.job.id]
        self._removed.set()
        self._removed = asyncio.Event()

    async def wait_for_room(self, job: UUID) -> None:
        """Wait until few events of this job are buffered."""
        while job in self._loads and self._loads[job].exceeds(WAIT_ABOVE):
            await self._removed.wait()


class Publication:
    """A buffered event. Awaiting it waits while many events of its job are buffered; it is stored in any case."""

    def __init__(self, buffer: EventBuffer, job: UUID) -> None:
        self._buffer = buffer
        self._job = job

    def __await__(self) -> Generator[Any, None, None]:
        return self._buffer.wait_for_room(self._job).__await__()
