"""Looking at the tasks that waiting jobs wait for."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.database import PASSING, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ProviderBusy, ProviderUnreachable, SetupError
from callsheet.domain.storable import storable_text
from callsheet.engine.complete import Changes
from callsheet.engine.ordering import task_of
from callsheet.engine.waiting import next_look
from callsheet.providers.contract import Look, Provider

log = structlog.get_logger(__name__)

_SEATS = 100
"""Looks under way at once, over all providers; each provider has its own limits besides."""
_LEAST = 25
"""Free seats before more jobs are claimed, so that claims stay few."""
_LONGEST_LOOK = 90.0
_LEASE = 180.0
"""Seconds before another worker may take a job that one has claimed for a look."""
_GATHER = 0.05
_VISIBLE = 0.01
"""Less progress than this is no event."""
_STRANGE_FOR = 60.0
"""Seconds after which a provider that could not be opened here is tried again."""
_REST = 1.0
_LONGEST_REST = 60.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at a waiting job led to."""

    row: asyncpg.Record
    collect: bool = False
    delay: float = 0.0
    look: Look | None = None

    @property
    def new_status(self) -> str | None:
        """The provider's word, if it is another one than before."""
        status = None if self.look is None else storable_text(self.look.status)
        return None if status == self.row["provider_job_status"] else status

    @property
    def new_progress(self) -> float | None:
        """The progress, if it went on visibly."""
        progress = None if self.look is None else self.look.progress
        return None if progress is None or progress < self.row["progress"] + _VISIBLE else progress


class Poller:
    """Looks at due jobs until it is cancelled; any number of processes may do so at once.

    One that dies costs its jobs a lease. Nothing is kept in memory but the looks under way.
    """

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        *,
        interval: float,
        only: UUID | None = None,
    ) -> None:
        """Look every `interval` seconds for jobs that are due; with `only`, for those of one execution."""
        self._database = database
        self._providers = providers
        self._interval = interval
        self._only = only
        self._looking: dict[asyncio.Task[None], str] = {}
        self._seen: list[_Seen] = []
        self._arrived = asyncio.Event()
        self._strange: dict[str, float] = {}
        self._rests: dict[str, _Rest] = defaultdict(_Rest)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._keep_claiming())
                loops.create_task(self._keep_writing())
        finally:
            for task in self._looking:
                task.cancel()
            await asyncio.gather(*self._looking, return_exceptions=True)

    async def _keep_claiming(self) -> None:
        while True:
            try:
                taken = await self._claim()
            except (*PASSING, asyncpg.PostgresError) as error:
                log.warning("waiting jobs are looked at later", error=type(error).__name__)
                taken = 0
            if not taken:
                await asyncio.sleep(self._interval)

    async def _claim(self) -> int:
        """Begin to look at as many due jobs as there are free seats; returns how many."""
        while len(self._looking) > _SEATS - _LEAST:
            await asyncio.wait(self._looking, return_when=asyncio.FIRST_COMPLETED)
        async with self._database.connection() as connection:
            rows = await sql.claim_looks(
                connection,
                most=_SEATS - len(self._looking),
                lease=_LEASE,
                strange=self._left_alone(),
                only=self._only,
            )
        for row in rows:
            task = asyncio.create_task(self._look_at(row), name=f"look {row['id']}")
            self._looking[task] = row["provider"]
            task.add_done_callback(self._looking.pop)
        return len(rows)

    def _left_alone(self) -> list[str]:
        """Return providers that cannot be asked here, and those whose slow answers would keep others waiting."""
        now = time.monotonic()
        self._strange = {name: until for name, until in self._strange.items() if until > now}
        crowded = [name for name, looks in Counter(self._looking.values()).items() if looks >= _SEATS // 2]
        return [*self._strange, *crowded]

    async def _look_at(self, row: asyncpg.Record) -> None:
        if row["overdue"] or row["task"] is None:
            # The run decides what becomes of it.
            seen = _Seen(row, collect=True)
        else:
            provider = self._opened(row["provider"])
            seen = _Seen(row) if provider is None else await self._see(row, provider)
        self._seen.append(seen)
        self._arrived.set()

    def _opened(self, name: str) -> Provider | None:
        try:
            return self._providers[name]
        except (KeyError, SetupError) as error:
            log.warning("a provider cannot be asked here", provider=name, reason=str(error))
            self._strange[name] = time.monotonic() + _STRANGE_FOR
            return None

    async def _see(self, row: asyncpg.Record, provider: Provider) -> _Seen:
        looks, rest = row["poll_attempts"], self._rests[provider.name]
        webhook = row["waiting_strategy"] == "webhook"
        if rest.left > 0:
            return _Seen(row, delay=rest.left)
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                look = await provider.look(task_of(row["task"]))
        except (ProviderUnreachable, ProviderBusy) as error:
            delay = max(rest.begin(error.after), next_look(provider, looks, webhook=webhook))
            return _Seen(row, delay=delay)
        except Exception as error:
            log.error("a look at a task failed", job=str(row["id"]), provider=provider.name, exc_info=error)
            return _Seen(row, delay=next_look(provider, looks, webhook=webhook))
        rest.end()
        over = look.ended or looks + 1 >= provider.polling.most
        delay = max(look.after or 0.0, next_look(provider, looks + 1, webhook=webhook))
        return _Seen(row, collect=over, delay=delay, look=look)

    async def _keep_writing(self) -> None:
        while True:
            await self._arrived.wait()
            # Looks that end together are written together.
            await asyncio.sleep(_GATHER)
            self._arrived.clear()
            seen, self._seen = self._seen, []
            try:
                await self._database.retry(partial(_record, seen), seconds=_LEASE / 2, transaction=True)
            except (*PASSING, asyncpg.PostgresError) as error:
                log.warning("looks at waiting jobs were not stored; they are repeated", error=type(error).__name__)


class _Rest:
    """A pause for a provider that gives no answers, longer each time in a row."""

    def __init__(self) -> None:
        self._until = 0.0
        self._length = 0.0

    @property
    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def begin(self, asked: float | None) -> float:
        """Begin a pause, at least as long as was asked for; returns its length in seconds."""
        if not self.left:
            self._length = min(_LONGEST_REST, max(_REST, self._length * 2))
        length = max(self._length, asked or 0.0)
        self._until = max(self._until, time.monotonic() + length)
        return length

    def end(self) -> None:
        self._length = 0.0


async def _record(seen: list[_Seen], connection: Connection) -> None:
    await sql.lock_executions(connection, ids=list({s.row["execution_id"] for s in seen}))
    rows = await sql.record_looks(
        connection,
        ids=[s.row["id"] for s in seen],
        epochs=[s.row["epoch"] for s in seen],
        collects=[s.collect for s in seen],
        statuses=[s.new_status for s in seen],
        progress=[s.new_progress for s in seen],
        looks=[int(s.look is not None) for s in seen],
        delays=[s.delay for s in seen],
    )
    by_job = {s.row["id"]: s for s in seen}
    changes = Changes()
    for row in rows:
        found = by_job[row["id"]]
        _tell(changes, row, found)
        if found.collect:
            changes.note_ready(row, "the provider is done" if found.look else "its time has come")
    await changes.record(connection)


def _tell(changes: Changes, row: Mapping[str, Any], found: _Seen) -> None:
    if found.new_status is not None:
        changes.tell(row, "job.provider", {"provider": found.row["provider"], "status": found.new_status})
    if found.new_progress is not None:
        changes.tell(row, "job.progress", {"progress": round(found.new_progress, 4)})
