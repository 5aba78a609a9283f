"""Poll the tasks of waiting jobs."""

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

from callsheet.db.database import Connection, Database
from callsheet.db.outages import DATABASE_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.errors import ConfigurationError, ProviderRateLimited, ProviderUnreachable
from callsheet.domain.event_types import EventType
from callsheet.domain.events import JobProgressData, JobProviderStatusData
from callsheet.domain.json_storage import storable_text
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.submissions.poll_schedule import next_poll_delay
from callsheet.engine.submissions.provider_queue import MAX_CLAIMED, ProviderBackoff, ProviderQueue
from callsheet.engine.submissions.submit_once import read_task
from callsheet.providers.contract import Provider, TaskStatus
from callsheet.tracing import span, traceparent_of

log = structlog.get_logger(__name__)

_POLL_TIMEOUT = 90.0
_LEASE = 30.0
"""Lease, in seconds, of a job claimed for polling; renewed while the poll result is unsaved."""
_RENEW_AFTER = _LEASE / 3
"""Age, in seconds, at which the lease of an unsaved poll is renewed."""
_STORE_TIMEOUT = 90.0
_BATCH_WAIT = 0.2
"""Seconds to collect poll results for one write."""
_ENDED_BATCH_WAIT = 0.05
"""The same once a task has ended: its job should continue soon."""
_OVERDUE_CHECK_ROUNDS = 10
"""Polling rounds between two checks for overdue jobs of providers not configured on this worker."""
_MIN_PROGRESS_STEP = 0.01
"""Smallest progress that causes an event."""
_UNCONFIGURED_PAUSE = 60.0
"""Seconds before another try to open a provider that is not configured on this worker."""


@dataclass(frozen=True, slots=True)
class _PollResult:
    """The result of polling one waiting job."""

    row: asyncpg.Record
    collect: bool = False
    """Queue the job, so that a run collects the result or fails."""
    delay: float = 0.0
    """Seconds until the next poll."""
    status: TaskStatus | None = None
    """None if the provider did not respond."""

    @property
    def new_status(self) -> str | None:
        """The status text of the provider, if it has changed."""
        status = None if self.status is None else storable_text(self.status.status)
        return None if status == self.row["provider_job_status"] else status

    @property
    def new_progress(self) -> float | None:
        """The progress, if it has grown noticeably."""
        progress = None if self.status is None else self.status.progress
        return None if progress is None or progress < self.row["progress"] + _MIN_PROGRESS_STEP else progress


class Poller:
    """Polls due jobs until cancelled. Any number of processes may do this concurrently.

    The jobs of a process that dies are polled again after a lease. Memory holds only the polls in progress.
    """

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        *,
        interval: float,
        only: UUID | None = None,
    ) -> None:
        """Check for due jobs every `interval` seconds. `only` restricts it to jobs reserved for that worker."""
        self._database = database
        self._providers = providers
        self._interval = interval
        self._only = only
        # One queue per provider, so that a slow provider does not delay the others.
        self._queues = {name: ProviderQueue() for name in providers}
        self._backlog: set[str] = set()
        """Providers that probably have more due jobs than slots."""
        self._polls: set[asyncio.Task[None]] = set()
        self._leased: dict[tuple[UUID, int], float] = {}
        self._slot_freed = asyncio.Event()
        self._results: list[_PollResult] = []
        self._result_arrived = asyncio.Event()
        self._task_ended = asyncio.Event()

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._claim_loop())
                loops.create_task(self._overdue_loop())
                loops.create_task(self._write_loop())
                loops.create_task(self._renew_leases())
        finally:
            for task in self._polls:
                task.cancel()
            await asyncio.gather(*self._polls, return_exceptions=True)

    async def _claim_loop(self) -> None:
        while True:
            try:
                await self._claim()
            except DATABASE_ERRORS as error:
                self._database.outage.failed("claim jobs to poll", error)
                await asyncio.sleep(self._interval)
            else:
                await self._wait_for_next_round()

    async def _claim(self) -> None:
        """Claim due jobs up to the free slots of each provider, and start their polls."""
        slots = {name: queue.free for name, queue in self._queues.items() if queue.accepts_jobs}
        if not slots:
            return
        async with self._database.connection() as connection:
            rows = await sql.claim_polls(
                connection, providers=list(slots), slots=list(slots.values()), lease=_LEASE, only=self._only
            )
        claimed = Counter(row["provider"] for row in rows)
        self._backlog -= slots.keys()
        self._backlog |= {name for name, free in slots.items() if claimed[name] == free}
        for row in rows:
            self._leased[row["id"], row["epoch"]] = time.monotonic()
            self._start_poll(row)

    async def _wait_for_next_round(self) -> None:
        """Wait for the interval, or until a provider with a backlog accepts jobs again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                while not any(self._queues[name].accepts_jobs for name in self._backlog):
                    self._slot_freed.clear()
                    await self._slot_freed.wait()

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_AFTER)
            old = [key for key, since in self._leased.items() if time.monotonic() - since > _RENEW_AFTER]
            if not old:
                continue
            ids, epochs = zip(*old, strict=True)
            try:
                async with self._database.connection() as connection:
                    await sql.renew_poll_leases(connection, ids=ids, epochs=epochs, lease=_LEASE)
            except DATABASE_ERRORS as error:
                log.warning("could not renew poll leases; polls may be repeated", error=type(error).__name__)

    async def _overdue_loop(self) -> None:
        """Queue overdue jobs, also those whose provider is not configured on this worker; a run then fails them."""
        while True:
            await asyncio.sleep(self._interval * _OVERDUE_CHECK_ROUNDS)
            try:
                async with self._database.connection() as connection:
                    rows = await sql.claim_overdue(connection, limit=MAX_CLAIMED, lease=_LEASE, only=self._only)
            except DATABASE_ERRORS as error:
                log.warning("could not check for overdue jobs, will retry", error=type(error).__name__)
            else:
                self._add_results([_PollResult(row, collect=True) for row in rows])

    def _start_poll(self, row: asyncpg.Record) -> None:
        if row["overdue"] or row["task"] is None:
            # Past the deadline, or a submission of unknown outcome: both are the business of a run.
            self._add_results([_PollResult(row, collect=True)])
            return
        queue = self._queues[row["provider"]]
        task = asyncio.create_task(self._poll(row, queue), name=f"poll {row['id']}")
        self._polls.add(task)
        queue.claimed += 1
        task.add_done_callback(lambda task: self._poll_done(task, queue, row))

    def _poll_done(self, task: asyncio.Task[None], queue: ProviderQueue, row: asyncpg.Record) -> None:
        self._polls.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("poll failed", job=str(row["id"]), exc_info=error)
            self._leased.pop((row["id"], row["epoch"]), None)
        queue.claimed -= 1
        self._slot_freed.set()

    async def _poll(self, row: asyncpg.Record, queue: ProviderQueue) -> None:
        async with queue.semaphore:
            provider = self._open_provider(row["provider"], queue)
            if provider is not None:
                await queue.wait_for_rate_limit(provider)
            result = _PollResult(row) if provider is None else await _poll_traced(row, provider, queue.backoff)
            self._add_results([result])

    def _open_provider(self, name: str, queue: ProviderQueue) -> Provider | None:
        try:
            return self._providers[name]
        except ConfigurationError as error:
            if not queue.backoff.remaining:
                log.warning(
                    "provider is not configured here; its tasks are not polled", provider=name, reason=str(error)
                )
            queue.backoff.start(_UNCONFIGURED_PAUSE)
            return None

    def _add_results(self, results: Sequence[_PollResult]) -> None:
        self._results += results
        if results:
            self._result_arrived.set()
        if any(result.collect for result in results):
            self._task_ended.set()

    async def _write_loop(self) -> None:
        while True:
            await self._result_arrived.wait()
            # Collect a batch: briefly if a task has ended, because its job waits for this write.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task_ended.wait(), _BATCH_WAIT)
                await asyncio.sleep(_ENDED_BATCH_WAIT)
            self._result_arrived.clear()
            self._task_ended.clear()
            results, self._results = self._results, []
            try:
                await self._database.retry(partial(_store_results, results), timeout=_STORE_TIMEOUT, transaction=True)
            except DATABASE_ERRORS as error:
                log.warning("could not store poll results; the polls are repeated", error=type(error).__name__)
            for result in results:
                self._leased.pop((result.row["id"], result.row["epoch"]), None)


async def _poll_traced(row: asyncpg.Record, provider: Provider, backoff: ProviderBackoff) -> _PollResult:
    parent = traceparent_of(row["traceparent"], row["execution_id"])
    facts = {"callsheet.execution": str(row["execution_id"]), "callsheet.job": row["job_id"]}
    with span(f"poll {provider.name}", parent=parent, attributes=facts) as current:
        result = await _poll_provider(row, provider, backoff)
        current.add({"callsheet.provider.status": "" if result.status is None else str(result.status.status)})
        return result


async def _poll_provider(row: asyncpg.Record, provider: Provider, backoff: ProviderBackoff) -> _PollResult:
    polls, webhook = row["poll_attempts"], row["waiting_strategy"] == "webhook"
    if backoff.remaining > 0:
        return _PollResult(row, delay=backoff.remaining)
    try:
        async with asyncio.timeout(_POLL_TIMEOUT):
            status = await provider.get_status(read_task(row["task"]))
    except (ProviderUnreachable, ProviderRateLimited) as error:
        return _PollResult(
            row, delay=max(backoff.start(error.retry_after), next_poll_delay(provider, polls, webhook=webhook))
        )
    except Exception as error:
        log.error("poll failed", job=str(row["id"]), provider=provider.name, exc_info=error)
        return _PollResult(row, delay=next_poll_delay(provider, polls, webhook=webhook))
    backoff.reset()
    record = log.info if status.ended else log.debug
    record(
        "the task has ended at the provider" if status.ended else "polled the provider",
        execution=str(row["execution_id"]),
        job=str(row["id"]),
        job_id=row["job_id"],
        operation=row["operation"],
        provider=provider.name,
        task=row["provider_job_id"],
        status=status.status,
        polls=polls + 1,
    )
    collect = status.ended or (not webhook and polls + 1 >= provider.poll_policy.max_polls)
    delay = max(status.retry_after or 0.0, next_poll_delay(provider, polls + 1, webhook=webhook))
    return _PollResult(row, collect=collect, delay=delay, status=status)


async def _store_results(results: list[_PollResult], connection: Connection) -> None:
    await sql.lock_executions(connection, ids=list({r.row["execution_id"] for r in results}))
    rows = await sql.record_polls(
        connection,
        ids=[r.row["id"] for r in results],
        epochs=[r.row["epoch"] for r in results],
        collects=[r.collect for r in results],
        statuses=[r.new_status for r in results],
        progress=[r.new_progress for r in results],
        polls=[int(r.status is not None) for r in results],
        delays=[r.delay for r in results],
    )
    by_job = {r.row["id"]: r for r in results}
    changes = Changes()
    for row in rows:
        result = by_job[row["id"]]
        _add_events(changes, row, result)
        if result.collect:
            changes.add_queued(row, "provider task ended" if result.status else "due")
    await changes.record(connection)


def _add_events(changes: Changes, row: Mapping[str, Any], result: _PollResult) -> None:
    if result.new_status is not None:
        data = JobProviderStatusData(provider=result.row["provider"], status=result.new_status)
        changes.add_event(row, EventType.JOB_PROVIDER_STATUS, data)
    if result.new_progress is not None:
        progress = JobProgressData(progress=round(result.new_progress, 4))
        changes.add_event(row, EventType.JOB_PROGRESS, progress)
