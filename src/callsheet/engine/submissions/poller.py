"""Looking at the tasks that waiting jobs wait for."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.database import TRANSIENT_ERRORS, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ConfigurationError, ProviderRateLimited, ProviderUnreachable
from callsheet.domain.json_storage import storable_text
from callsheet.engine.jobs.complete import Changes
from callsheet.engine.submissions.poll_schedule import next_poll_delay
from callsheet.engine.submissions.submit_once import task_of
from callsheet.providers.contract import Provider, TaskStatus
from callsheet.providers.http.rate_limiter import RateLimiter

log = structlog.get_logger(__name__)

_SEATS = 100
"""Jobs of one provider that are claimed at once."""
_LEAST = 50
"""Free slots before more of its jobs are claimed, so that claims stay few."""
_AT_ONCE = 16
"""Looks at one provider under way at once; it has its own limits besides."""
_LONGEST_LOOK = 90.0
_LEASE = 30.0
"""Seconds before another worker may take a job that one has claimed for a look, and does not hold any more."""
_HOLD = _LEASE / 3
"""Seconds after which looks that are not stored yet are held on to."""
_STORED_WITHIN = 90.0
_GATHER = 0.2
_GATHER_ENDS = 0.05
_FORGOTTEN = 10
"""Rounds between two looks for jobs whose time is over though nobody here can ask about them."""
_VISIBLE = 0.01
"""Less progress than this is no event."""
_STRANGE_FOR = 60.0
"""Seconds after which a provider that could not be opened here is tried again."""
_REST = 1.0
_LONGEST_REST = 60.0


@dataclass(frozen=True, slots=True)
class _PollResult:
    """What one look at a waiting job led to."""

    row: asyncpg.Record
    collect: bool = False
    delay: float = 0.0
    status: TaskStatus | None = None

    @property
    def new_status(self) -> str | None:
        """The provider's word, if it is another one than before."""
        status = None if self.status is None else storable_text(self.status.status)
        return None if status == self.row["provider_job_status"] else status

    @property
    def new_progress(self) -> float | None:
        """The progress, if it went on visibly."""
        progress = None if self.status is None else self.status.progress
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
        # One for each provider: whoever is slow keeps nobody else waiting.
        self._desks = {name: _ProviderQueue() for name in providers}
        self._backlog: set[str] = set()
        self._looks: set[asyncio.Task[None]] = set()
        self._held: dict[tuple[UUID, int], float] = {}
        self._freed = asyncio.Event()
        self._seen: list[_PollResult] = []
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._claim_loop())
                loops.create_task(self._collect_loop())
                loops.create_task(self._write_loop())
                loops.create_task(self._renew_leases())
        finally:
            for task in self._looks:
                task.cancel()
            await asyncio.gather(*self._looks, return_exceptions=True)

    async def _claim_loop(self) -> None:
        while True:
            try:
                await self._claim()
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("waiting jobs are looked at later", error=type(error).__name__)
                await asyncio.sleep(self._interval)
            else:
                await self._pause()

    async def _claim(self) -> None:
        """Begin to look at due jobs, as many of each provider as it has free slots."""
        slots = {name: desk.free for name, desk in self._desks.items() if desk.open}
        if not slots:
            return
        async with self._database.connection() as connection:
            rows = await sql.claim_polls(
                connection, providers=list(slots), slots=list(slots.values()), lease=_LEASE, only=self._only
            )
        taken = Counter(row["provider"] for row in rows)
        self._backlog -= slots.keys()
        self._backlog |= {name for name, free in slots.items() if taken[name] == free}
        for row in rows:
            self._held[row["id"], row["epoch"]] = time.monotonic()
            self._begin(row)

    async def _pause(self) -> None:
        """Wait for the next round; no longer than until a provider that has more due jobs has slots for them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                while not any(self._desks[name].open for name in self._backlog):
                    self._freed.clear()
                    await self._freed.wait()

    async def _renew_leases(self) -> None:
        """Keep jobs whose looks take long from other workers."""
        while True:
            await asyncio.sleep(_HOLD)
            long = [key for key, since in self._held.items() if time.monotonic() - since > _HOLD]
            if not long:
                continue
            ids, epochs = zip(*long, strict=True)
            try:
                async with self._database.connection() as connection:
                    await sql.renew_poll_leases(connection, ids=ids, epochs=epochs, lease=_LEASE)
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("looks were not held on to; they may be repeated", error=type(error).__name__)

    async def _collect_loop(self) -> None:
        """Hand over what no provider that can be asked here is asked about, once its time is over."""
        while True:
            await asyncio.sleep(self._interval * _FORGOTTEN)
            try:
                async with self._database.connection() as connection:
                    rows = await sql.claim_overdue(connection, most=_SEATS, lease=_LEASE, only=self._only)
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("waiting jobs are given up later", error=type(error).__name__)
            else:
                self._note([_PollResult(row, collect=True) for row in rows])

    def _begin(self, row: asyncpg.Record) -> None:
        if row["overdue"] or row["task"] is None:
            # The run decides what becomes of it.
            self._note([_PollResult(row, collect=True)])
            return
        desk = self._desks[row["provider"]]
        task = asyncio.create_task(self._poll(row, desk), name=f"look {row['id']}")
        self._looks.add(task)
        desk.taken += 1
        task.add_done_callback(lambda task: self._polled(task, desk, row))

    def _polled(self, task: asyncio.Task[None], desk: "_ProviderQueue", row: asyncpg.Record) -> None:
        self._looks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a look at a task failed", job=str(row["id"]), exc_info=error)
            self._held.pop((row["id"], row["epoch"]), None)
        desk.taken -= 1
        self._freed.set()

    async def _poll(self, row: asyncpg.Record, desk: "_ProviderQueue") -> None:
        async with desk.turns:
            provider = self._opened(row["provider"], desk)
            if provider is not None:
                await desk.turn_at(provider)
            self._note([_PollResult(row) if provider is None else await _see(row, provider, desk.rest)])

    def _opened(self, name: str, desk: "_ProviderQueue") -> Provider | None:
        try:
            return self._providers[name]
        except ConfigurationError as error:
            if not desk.rest.left:
                log.warning("a provider cannot be asked here", provider=name, reason=str(error))
            desk.rest.begin(_STRANGE_FOR)
            return None

    def _note(self, seen: Sequence[_PollResult]) -> None:
        self._seen += seen
        if seen:
            self._arrived.set()
        if any(each.collect for each in seen):
            self._ended.set()

    async def _write_loop(self) -> None:
        while True:
            await self._arrived.wait()
            # Looks that end together are written together. Nobody waits for one that has shown no end.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _GATHER)
                await asyncio.sleep(_GATHER_ENDS)
            self._arrived.clear()
            self._ended.clear()
            seen, self._seen = self._seen, []
            try:
                await self._database.retry(partial(_record, seen), seconds=_STORED_WITHIN, transaction=True)
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("looks at waiting jobs were not stored; they are repeated", error=type(error).__name__)
            for each in seen:
                self._held.pop((each.row["id"], each.row["epoch"]), None)


class _ProviderQueue:
    """Where the jobs of one provider wait for a look, and for nothing else."""

    def __init__(self) -> None:
        self.taken = 0
        self.turns = asyncio.Semaphore(_AT_ONCE)
        self.rest = _Backoff()
        self._pace: RateLimiter | None = None

    async def turn_at(self, provider: Provider) -> None:
        """Wait until the provider may be looked at once more."""
        if self._pace is None:
            self._pace = RateLimiter(provider.poll_policy.per_second)
        await self._pace.acquire()

    @property
    def free(self) -> int:
        return _SEATS - self.taken

    @property
    def open(self) -> bool:
        """Whether it is worth while to claim more jobs."""
        return self.free >= _LEAST and not self.rest.left


class _Backoff:
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


async def _see(row: asyncpg.Record, provider: Provider, rest: _Backoff) -> _PollResult:
    looks, webhook = row["poll_attempts"], row["waiting_strategy"] == "webhook"
    if rest.left > 0:
        return _PollResult(row, delay=rest.left)
    try:
        async with asyncio.timeout(_LONGEST_LOOK):
            look = await provider.get_status(task_of(row["task"]))
    except (ProviderUnreachable, ProviderRateLimited) as error:
        return _PollResult(
            row, delay=max(rest.begin(error.retry_after), next_poll_delay(provider, looks, webhook=webhook))
        )
    except Exception as error:
        log.error("a look at a task failed", job=str(row["id"]), provider=provider.name, exc_info=error)
        return _PollResult(row, delay=next_poll_delay(provider, looks, webhook=webhook))
    rest.end()
    over = look.ended or looks + 1 >= provider.poll_policy.max_polls
    delay = max(look.retry_after or 0.0, next_poll_delay(provider, looks + 1, webhook=webhook))
    return _PollResult(row, collect=over, delay=delay, status=look)


async def _record(seen: list[_PollResult], connection: Connection) -> None:
    await sql.lock_executions(connection, ids=list({s.row["execution_id"] for s in seen}))
    rows = await sql.record_polls(
        connection,
        ids=[s.row["id"] for s in seen],
        epochs=[s.row["epoch"] for s in seen],
        collects=[s.collect for s in seen],
        statuses=[s.new_status for s in seen],
        progress=[s.new_progress for s in seen],
        looks=[int(s.status is not None) for s in seen],
        delays=[s.delay for s in seen],
    )
    by_job = {s.row["id"]: s for s in seen}
    changes = Changes()
    for row in rows:
        found = by_job[row["id"]]
        _tell(changes, row, found)
        if found.collect:
            changes.add_ready_queue(row, "the provider is done" if found.status else "its time has come")
    await changes.record(connection)


def _tell(changes: Changes, row: Mapping[str, Any], found: _PollResult) -> None:
    if found.new_status is not None:
        changes.add_event(row, "job.provider_status", {"provider": found.row["provider"], "status": found.new_status})
    if found.new_progress is not None:
        changes.add_event(row, "job.progress", {"progress": round(found.new_progress, 4)})
