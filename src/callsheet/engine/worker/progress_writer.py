"""Batch writer of progress and events of running jobs."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.database import TRANSIENT_ERRORS, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.domain.events import JobProgressData
from callsheet.domain.json_storage import storable_json, storable_text
from callsheet.engine.jobs.changes import event_notifications
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

_MAX_BUFFERED_EVENTS = 10_000


@dataclass(slots=True)
class _Progress:
    job: ClaimedJob
    done: float
    message: str | None


class ProgressWriter:
    """Buffers progress and events, and stores them a few times per second.

    Of the progress of a job only the newest is stored. All events are stored, in order.
    """

    def __init__(self, database: Database, *, interval: float = 0.25) -> None:
        """Store at most once every `interval` seconds."""
        self._database = database
        self._interval = interval
        self._progress: dict[UUID, _Progress] = {}
        self._events: list[tuple[ClaimedJob, str, str]] = []
        self._started_executions: set[UUID] = set()
        self._arrived = asyncio.Event()
        self._flush_lock = asyncio.Lock()

    def progress(self, job: ClaimedJob, done: float, message: str | None) -> None:
        """Buffer the progress of a job, from 0 to 1."""
        message = None if message is None else storable_text(message)
        # max before min, in this order, maps NaN to 0.
        self._progress[job.id] = _Progress(job, min(1.0, max(0.0, done)), message)
        self._arrived.set()

    def add_event(self, job: ClaimedJob, kind: EventType, data: Mapping[str, object]) -> None:
        """Buffer an event. If 10,000 events are buffered, it is dropped with a warning."""
        if len(self._events) >= _MAX_BUFFERED_EVENTS:
            log.warning("too many buffered events, dropped one", job=str(job.id))
            return
        self._events.append((job, kind, storable_json(data)))
        self._arrived.set()

    def notify_started(self, execution_ids: Iterable[UUID]) -> None:
        """Notify the event streams of these executions: jobs were started."""
        self._started_executions.update(execution_ids)
        self._arrived.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self.flush()
                await self._notify_event_streams()
            except TRANSIENT_ERRORS as error:
                self._database.outage.failed("store progress", error)
            except asyncpg.PostgresError as error:
                log.error("could not store progress", exc_info=error)
            await asyncio.sleep(self._interval)

    async def _notify_event_streams(self) -> None:
        started, self._started_executions = self._started_executions, set()
        if started:
            await self._database.retry(
                lambda c: sql.notify_event_streams(c, event_notifications=event_notifications(started)), timeout=1
            )

    async def flush(self, job: UUID | None = None) -> None:
        """Store everything that is buffered. With `job`, do so only if something of that job is buffered."""
        async with self._flush_lock:
            # Checked under the lock: a concurrent flush may be storing an event of this job right now.
            if job is not None and job not in self._progress and all(j.id != job for j, _, _ in self._events):
                return
            progress, self._progress = self._progress, {}
            events, self._events = self._events, []
            if progress or events:
                await self._database.retry(
                    lambda c: self._store(c, list(progress.values()), events), timeout=5, transaction=True
                )

    async def _store(
        self,
        connection: Connection,
        progress: list[_Progress],
        events: list[tuple[ClaimedJob, str, str]],
    ) -> None:
        jobs = {job.id: job for job in [*(p.job for p in progress), *(job for job, _, _ in events)]}
        await sql.lock_executions(connection, ids=list({job.execution_id for job in jobs.values()}))
        if progress:
            await sql.store_progress(
                connection,
                ids=[p.job.id for p in progress],
                epochs=[p.job.epoch for p in progress],
                progress=[p.done for p in progress],
                messages=[p.message for p in progress],
            )
        # Events of runs that have lost their job are dropped.
        held = {
            row["id"]
            for row in await sql.held_leases(connection, ids=list(jobs), epochs=[job.epoch for job in jobs.values()])
        }
        records = [(job, kind, data) for job, kind, data in events if job.id in held]
        for p in progress:
            if p.job.id in held:
                data = JobProgressData(progress=round(p.done, 4))
                if p.message:
                    data["message"] = p.message
                records.append((p.job, EventType.JOB_PROGRESS, storable_json(data)))
        if records:
            await self._record(connection, records)

    async def _record(self, connection: Connection, events: list[tuple[ClaimedJob, str, str]]) -> None:
        zeros = [0] * len(events)
        await sql.record_events(
            connection,
            execution_ids=[job.execution_id for job, _, _ in events],
            job_ids=[job.job_id for job, _, _ in events],
            types=[kind for _, kind, _ in events],
            payloads=[data for _, _, data in events],
            ended=zeros,
            failed=zeros,
            cancelled=zeros,
            ready_queues=[],
            freed_queues=[],
            event_notifications=event_notifications(job.execution_id for job, _, _ in events),
        )
