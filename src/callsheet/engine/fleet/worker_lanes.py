"""Resize the lanes of a running worker."""

from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound, Problem, ProblemList
from callsheet.domain.queues import canonical_queue
from callsheet.domain.records import WorkerRecord
from callsheet.engine.reads.workers import list_workers


async def set_lanes(database: Database, worker_id: UUID, lanes: dict[str, int]) -> WorkerRecord:
    """Set the number of slots of some lanes; 0 closes a lane. Running jobs continue.

    The lanes are kept for later workers of the same name, until `reset_lanes`.

    Returns the changed worker. Raises NotFound for an unknown or lost worker, and ProblemList for a queue without a
    lane: a worker selects the operations that it can run at its start, so it cannot open new lanes.
    """
    lanes = {canonical_queue(queue): slots for queue, slots in lanes.items()}
    worker = await find_worker(database, worker_id)
    known = ", ".join(sorted(worker.lanes))
    problems = [
        Problem(f"lanes.{queue}", "unknown_lane", f"this worker has no lane '{queue}'; it has {known}")
        for queue in lanes
        if queue not in worker.lanes
    ]
    if problems:
        raise ProblemList(problems, f"The worker '{worker.name}' cannot change these lanes")
    text = orjson.dumps(lanes).decode()
    if await database.retry(lambda c: sql.set_lanes(c, id=worker_id, lanes=text), timeout=5) is None:
        raise NotFound(f"The worker '{worker.name}' is lost.")
    return await find_worker(database, worker_id)


async def reset_lanes(database: Database, worker_id: UUID) -> WorkerRecord:
    """Give a worker the lanes of its settings again, and forget what was set by hand for its name.

    Returns the changed worker. Raises NotFound for an unknown or lost worker.
    """
    worker = await find_worker(database, worker_id)
    if await database.retry(lambda c: sql.reset_lanes(c, id=worker_id), timeout=5) is None:
        raise NotFound(f"The worker '{worker.name}' is lost.")
    return await find_worker(database, worker_id)


async def find_worker(database: Database, worker_id: UUID) -> WorkerRecord:
    """Return a worker. Raises NotFound."""
    for worker in await list_workers(database):
        if worker.id == worker_id:
            return worker
    raise NotFound(f"There is no worker {worker_id}.")
