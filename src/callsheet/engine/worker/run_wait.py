"""Record that a run waits for the storage."""

from datetime import timedelta

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.event_types import EventType
from callsheet.domain.events import blocked_data
from callsheet.domain.wait_reasons import WaitCode, WaitReason
from callsheet.engine.jobs.changes import Changes
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)


async def record_wait(database: Database, job: ClaimedJob, message: str | None, seconds: float) -> None:
    """Record that a run waits for the storage for at most `seconds`, or with None that it continues.

    A failure is logged: the run waits for the storage also while the database is away.
    """
    reason = None if message is None else _reason(message, seconds)

    async def store(connection: Connection) -> None:
        await sql.lock_executions(connection, ids=[job.execution_id])
        text = None if reason is None else reason.model_dump_json(exclude_none=True)
        row = await sql.set_wait_reason(connection, id=job.id, epoch=job.epoch, reason=text)
        if row is not None and reason is not None:
            changes = Changes()
            changes.add_event(row, EventType.JOB_BLOCKED, blocked_data(reason))
            await changes.record(connection)

    try:
        await database.retry(store, timeout=5, transaction=True)
    except TRANSIENT_ERRORS as error:
        log.warning("could not record the wait for the storage", job=str(job.id), error=type(error).__name__)


def _reason(message: str, seconds: float) -> WaitReason:
    return WaitReason(
        code=WaitCode.STORAGE_OUTAGE,
        message=f"It waits for the storage. {message}. Its finished files are kept on the worker's disk.",
        until=shared_now() + timedelta(seconds=seconds),
    )
