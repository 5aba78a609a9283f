"""Event of a run that continued after its job had been given to another run."""

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.engine.jobs.changes import Changes
from callsheet.queue.claim import ClaimedJob

_MESSAGE = (
    "A run of this job continued after the job was taken from its worker. Its outcome is discarded, but its side "
    "effects may have happened twice."
)


async def record_discarded_run(connection: Connection, job: ClaimedJob) -> None:
    """Add an event to the job whose run was discarded, inside the caller's transaction.

    The start of that run no longer counts as one in which the worker died: it was frozen, or without its database.
    """
    if not await sql.lock_executions(connection, ids=[job.execution_id]):
        return
    await sql.uncount_start(connection, id=job.id, epoch=job.epoch)
    changes = Changes()
    row = {"execution_id": job.execution_id, "job_id": job.job_id}
    changes.add_event(row, EventType.JOB_LOG, {"message": _MESSAGE, "run": job.epoch})
    await changes.record(connection)
