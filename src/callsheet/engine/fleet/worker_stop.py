"""Drain and stop workers."""

from uuid import UUID

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.records import WorkerRecord
from callsheet.engine.fleet.worker_lanes import find_worker, set_lanes

_POLLED = 0
"""The process id of a polled worker."""


async def drain_worker(database: Database, worker_id: UUID) -> WorkerRecord:
    """Close all lanes: the worker ends its running jobs and claims no more. Its process goes on.

    Returns the changed worker. Raises NotFound for an unknown or lost worker.
    """
    worker = await find_worker(database, worker_id)
    return await set_lanes(database, worker_id, dict.fromkeys(worker.lanes, 0))


async def stop_worker(database: Database, worker_id: UUID) -> WorkerRecord:
    """Let the process of a worker end as SIGTERM does: running jobs get its grace period, the rest is released.

    Returns the worker as it is now. Raises NotFound for an unknown or lost worker, and InvalidState for one that is no
    process of its own: a polled worker, or the worker of `callsheet run`.
    """
    worker = await find_worker(database, worker_id)
    if worker.pid == _POLLED:
        raise InvalidState(f"'{worker.name}' is a polled worker. It ends when its program no longer asks for tasks.")
    if worker.only_reserved:
        raise InvalidState(f"'{worker.name}' runs one execution only. Cancel that execution to end it.")
    if await database.retry(lambda c: sql.request_worker_stop(c, id=worker_id), timeout=5) is None:
        raise NotFound(f"The worker '{worker.name}' is lost.")
    return await find_worker(database, worker_id)
