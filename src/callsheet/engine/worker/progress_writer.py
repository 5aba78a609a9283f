"""Batch writer of progress and events of running jobs."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.commit_once import commit_once
from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.domain.events import JobProgressData
from callsheet.domain.json_storage import shown_json, shown_text
from callsheet.engine.jobs.changes import event_notifications
from callsheet.engine.worker.event_buffer import BufferedEvent, EventBuffer, Publication
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

_REJECTIONS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
"""Errors of events that the database never stores."""
_PAUSE_AFTER_ERROR = 2.0
"""Seconds."""


@dataclass(slots=True)
class _Progress:
    job: ClaimedJob
    done: float
    message: str | None


class ProgressWriter:
    """Buffers progress and events, and stores them a few times per second.

    Of the progress of a job only the newest is stored. All events are stored, in order: they stay in the buffer until
    the database has them.
    """

    def __init__(self, database: Database, *, interval: float = 0.25) -> None:
        """Store at most once every `interval` seconds."""
        self._database = database
        self._interval = interval
        self._progress: dict[UUID, _Progress] = {}
        self._events = EventBuffer()
        self._started_executions: set[UUID] = set()
        self._arrived = asyncio.Event()
        self._flush_lock = asyncio.Lock()

    def progress(self, job: ClaimedJob, done: float, message: str | None) -> None:
        """Buffer the progress of a job, from 0 to 1."""
        message = None if message is None else shown_text(message)
        # max before min, in this order, maps NaN to 0.
        self._progress[job.id] = _Progress(job, min(1.0, max(0.0, done)), message)
        self._arrived.set()

    def add_event(self, job: ClaimedJob, kind: EventType, data: Mapping[str, object]) -> Publication:
        """Buffer an event. Awaiting the result waits while many events of the job are buffered.

        Raises DatabaseUnavailable at the limit of the job (see `event_buffer`).
        """
        publication = self._events.add(job, kind, data)
        self._arrived.set()
        return publication

    def notify_started(self, execution_ids: Iterable[UUID]) -> None:
        """Notify the event streams of these executions: jobs were started."""
        self._started_executions.update(execution_ids)
        self._arrived.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            pause = self._interval
            try:
                await self.flush()
                await self._notify_event_streams()
            except TRANSIENT_ERRORS as error:
                self._database.outage.failed("store progress", error)
            except asyncpg.PostgresError as error:
                log.error("could not store progress, will retry", exc_info=error)
                self._arrived.set()
                pause = _PAUSE_AFTER_ERROR
            await asyncio.sleep(pause)

    async def _notify_event_streams(self) -> None:
        started, self._started_executions = self._started_executions, set()
        if started:
            await self._database.retry(
                lambda c: sql.notify_event_streams(c, event_notifications=event_notifications(started)), timeout=1
            )

    async def flush(self, job: UUID | None = None) -> None:
        """Store everything that is buffered, as soon as the database can be used.

        With `job`, do so only if something of that job is buffered.
        """
        if job is not None and not self._flush_lock.locked() and not self._has_buffered(job):
            return
        async with self._flush_lock:
            # Checked again under the lock: a concurrent flush may have stored, or be storing, an event of this job.
            if job is not None and not self._has_buffered(job):
                return
            while self._progress or self._events.first():
                await self._store_batch()

    async def _store_batch(self) -> None:
        """Store the newest progress of each job, and the oldest events."""
        progress, self._progress = self._progress, {}
        events = self._events.first()
        try:
            await self._store_accepted(list(progress.values()), events)
        except BaseException:
            # Newer progress has priority.
            self._progress = progress | self._progress
            raise
        self._events.remove_first(len(events))

    async def _store_accepted(self, progress: Sequence[_Progress], events: Sequence[BufferedEvent]) -> None:
        """Store what the database accepts. What it can never store is logged as an error."""
        try:
            await commit_once(self._database, lambda c: self._store(c, progress, events))
        except _REJECTIONS as error:
            if len(progress) + len(events) > 1:
                for one in progress:
                    await self._store_accepted([one], [])
                for event in events:
                    await self._store_accepted([], [event])
                return
            for job in _jobs(progress, events):
                log.error("the database rejected an event of a job", **job.log_facts, exc_info=error)

    def _has_buffered(self, job: UUID) -> bool:
        return job in self._progress or self._events.contains(job)

    async def _store(
        self, connection: Connection, progress: Sequence[_Progress], events: Sequence[BufferedEvent]
    ) -> None:
        jobs = {job.id: job for job in _jobs(progress, events)}
        await sql.lock_executions(connection, ids=list({job.execution_id for job in jobs.values()}))
        if progress:
            await sql.store_progress(
                connection,
                ids=[p.job.id for p in progress],
                epochs=[p.job.epoch for p in progress],
                progress=[p.done for p in progress],
                messages=[p.message for p in progress],
            )
        # Runs that have lost their job store no events.
        held = {
            row["id"]
            for row in await sql.held_leases(connection, ids=list(jobs), epochs=[job.epoch for job in jobs.values()])
        }
        records = [event for event in (*events, *map(_progress_event, progress)) if event.job.id in held]
        if records:
            await self._record(connection, records)

    async def _record(self, connection: Connection, events: list[BufferedEvent]) -> None:
        zeros = [0] * len(events)
        await sql.record_events(
            connection,
            execution_ids=[event.job.execution_id for event in events],
            job_ids=[event.job.job_id for event in events],
            types=[event.kind for event in events],
            payloads=[event.data for event in events],
            ended=zeros,
            failed=zeros,
            cancelled=zeros,
            ready_queues=[],
            freed_queues=[],
            event_notifications=event_notifications(event.job.execution_id for event in events),
        )


def _jobs(progress: Sequence[_Progress], events: Sequence[BufferedEvent]) -> list[ClaimedJob]:
    return [*(p.job for p in progress), *(event.job for event in events)]


def _progress_event(progress: _Progress) -> BufferedEvent:
    data = JobProgressData(progress=round(progress.done, 4))
    if progress.message:
        data["message"] = progress.message
    return BufferedEvent(progress.job, EventType.JOB_PROGRESS, shown_json(data))
