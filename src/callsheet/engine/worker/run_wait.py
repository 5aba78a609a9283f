"""Record that a run waits for the storage, or for a server."""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.event_types import EventType
from callsheet.domain.events import blocked_data
from callsheet.domain.wait_reasons import WaitCode, WaitReason
from callsheet.engine.jobs.changes import Changes
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)


class RunWait:
    """Records for one run what it waits for, and that it continues."""

    def __init__(self, database: Database, job: ClaimedJob) -> None:
        self._database = database
        self._job = job
        self._clearing: asyncio.Task[None] | None = None

    async def record(self, reason: WaitReason | None) -> None:
        """Record what the run waits for, or with None that it continues.

        A failure is logged: the run waits also while the database is away. That it continues is then recorded as soon
        as the database responds, or else the job would show the wait until its end.
        """
        self.close()
        try:
            await self._store(reason, timeout=5)
        except TRANSIENT_ERRORS as error:
            log.warning("could not record what a run waits for", job=str(self._job.id), error=type(error).__name__)
            if reason is None:
                self._clearing = asyncio.create_task(self._store(None, timeout=FOREVER), name="clear wait reason")

    def close(self) -> None:
        """Stop to record."""
        if self._clearing is not None:
            self._clearing.cancel()
            self._clearing = None

    async def _store(self, reason: WaitReason | None, *, timeout: float) -> None:
        await self._database.retry(partial(self._write, reason), timeout=timeout, transaction=True)

    async def _write(self, reason: WaitReason | None, connection: Connection) -> None:
        job = self._job
        await sql.lock_executions(connection, ids=[job.execution_id])
        text = None if reason is None else reason.model_dump_json(exclude_none=True)
        row = await sql.set_wait_reason(connection, id=job.id, epoch=job.epoch, reason=text)
        if row is not None and reason is not None:
            changes = Changes()
            changes.add_event(row, EventType.JOB_BLOCKED, blocked_data(reason))
            await changes.record(connection)


def storage_wait(message: str, seconds: float) -> WaitReason:
    """Return the reason of a run that waits for the storage for at most `seconds`."""
    return WaitReason(
        code=WaitCode.STORAGE_OUTAGE,
        message=f"It waits for the storage. {message}. Its finished files are kept on the worker's disk.",
        until=shared_now() + timedelta(seconds=seconds),
    )
