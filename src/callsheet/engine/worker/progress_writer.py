"""Storing what running jobs tell: progress, messages, partial data."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from callsheet.db.database import TRANSIENT_ERRORS, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.json_storage import storable_json, storable_text
from callsheet.engine.jobs.complete import event_notification
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

_MOST_WAITING = 10_000


@dataclass(slots=True)
class _Progress:
    job: ClaimedJob
    done: float
    message: str | None


class ProgressWriter:
    """Gathers what running jobs tell and stores it a few times a second.

    Of progress only the newest is kept; messages and data are all stored, in order.
    """

    def __init__(self, database: Database, *, interval: float = 0.25) -> None:
        self._database = database
        self._interval = interval
        self._progress: dict[UUID, _Progress] = {}
        self._told: list[tuple[ClaimedJob, str, str]] = []
        self._began: set[UUID] = set()
        self._arrived = asyncio.Event()
        self._writing = asyncio.Lock()

    def progress(self, job: ClaimedJob, done: float, message: str | None) -> None:
        """Keep the newest progress of a job, from 0 to 1."""
        message = None if message is None else storable_text(message)
        # In this order what is not a number counts as nothing done.
        self._progress[job.id] = _Progress(job, min(1.0, max(0.0, done)), message)
        self._arrived.set()

    def add_event(self, job: ClaimedJob, kind: str, data: dict[str, Any]) -> None:
        """Keep a message or partial data; beyond a great many waiting, new ones are dropped with a warning."""
        if len(self._told) >= _MOST_WAITING:
            log.warning("too many messages waiting to be stored, one dropped", job=str(job.id))
            return
        self._told.append((job, kind, storable_json(data)))
        self._arrived.set()

    def start_job(self, execution_ids: Iterable[UUID]) -> None:
        """Have the watchers of these executions told that jobs of theirs were started."""
        self._began.update(execution_ids)
        self._arrived.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self.flush()
                await self._notify_subscribers()
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("progress was not stored", error=type(error).__name__)
            await asyncio.sleep(self._interval)

    async def _notify_subscribers(self) -> None:
        began, self._began = self._began, set()
        if began:
            await self._database.retry(
                lambda c: sql.notify_event_streams(c, event_wake=event_notification(began)), seconds=1
            )

    async def flush(self, job: UUID | None = None) -> None:
        """Store what is waiting; with `job`, only if there is something of that job."""
        async with self._writing:
            # Asked inside: what another flush has on its way belongs to the job's story too.
            if job is not None and job not in self._progress and all(j.id != job for j, _, _ in self._told):
                return
            progress, self._progress = self._progress, {}
            told, self._told = self._told, []
            if progress or told:
                await self._database.retry(
                    lambda c: self._store(c, list(progress.values()), told), seconds=5, transaction=True
                )

    async def _store(
        self,
        connection: Connection,
        progress: list[_Progress],
        told: list[tuple[ClaimedJob, str, str]],
    ) -> None:
        jobs = {job.id: job for job in [*(p.job for p in progress), *(job for job, _, _ in told)]}
        await sql.lock_executions(connection, ids=list({job.execution_id for job in jobs.values()}))
        if progress:
            await sql.store_progress(
                connection,
                ids=[p.job.id for p in progress],
                epochs=[p.job.epoch for p in progress],
                progress=[p.done for p in progress],
                messages=[p.message for p in progress],
            )
        ours = {
            row["id"]
            for row in await sql.held_leases(connection, ids=list(jobs), epochs=[job.epoch for job in jobs.values()])
        }
        events = [(job, kind, data) for job, kind, data in told if job.id in ours]
        for p in progress:
            if p.job.id in ours:
                data = {"progress": round(p.done, 4)} | ({"message": p.message} if p.message else {})
                events.append((p.job, "job.progress", storable_json(data)))
        if events:
            await self._record(connection, events)

    async def _record(self, connection: Connection, events: list[tuple[ClaimedJob, str, str]]) -> None:
        nothing = [0] * len(events)
        await sql.record_events(
            connection,
            execution_ids=[job.execution_id for job, _, _ in events],
            job_ids=[job.job_id for job, _, _ in events],
            types=[kind for _, kind, _ in events],
            datas=[data for _, _, data in events],
            ended=nothing,
            failed=nothing,
            cancelled=nothing,
            ready_queues=[],
            freed_queues=[],
            event_wake=event_notification(job.execution_id for job, _, _ in events),
        )
