"""Changing the lanes of a worker while it works."""

from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound, Problem, ProblemList
from callsheet.domain.records import WorkerRecord
from callsheet.engine.reads.views import list_workers


async def set_lanes(database: Database, worker_id: UUID, lanes: dict[str, int]) -> WorkerRecord:
    """Change how many jobs of some queues a worker runs at once; 0 lets it take no more of them.

    Returns the worker as it is then. Raises NotFound for a worker that is not there or is lost, ProblemList for a
    queue that it has no lane of: which operations it can run was decided when it started.
    """
    worker = await _find(database, worker_id)
    known = ", ".join(sorted(worker.lanes))
    problems = [
        Problem(f"lanes.{queue}", "unknown_lane", f"this worker has no lane '{queue}'; it has {known}")
        for queue in lanes
        if queue not in worker.lanes
    ]
    if problems:
        raise ProblemList(problems, f"The worker '{worker.name}' cannot change to these lanes")
    text = orjson.dumps(lanes).decode()
    if await database.retry(lambda c: sql.set_lanes(c, id=worker_id, lanes=text), seconds=5) is None:
        raise NotFound(f"The worker '{worker.name}' is lost.")
    return await _find(database, worker_id)


async def _find(database: Database, worker_id: UUID) -> WorkerRecord:
    for worker in await list_workers(database):
        if worker.id == worker_id:
            return worker
    raise NotFound(f"There is no worker {worker_id}.")
