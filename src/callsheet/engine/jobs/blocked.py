"""Report queued jobs that nothing can start: the event `job.blocked`.

A periodic search does this, so that the claim stays as it is. Reads compute the current reason themselves.
"""

from datetime import timedelta
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.domain.events import blocked_data
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.reads.wait_reasons import read_fleet

_BATCH_SIZE = 200
"""Jobs that one search reports. A large backlog is reported over several searches."""


async def report_blocked_jobs(database: Database, *, min_age: timedelta) -> int:
    """Record `job.blocked` for jobs that have been ready for `min_age` and that nothing can start.

    Each job is reported once per stay in its queue. Any number of processes may do this concurrently. Returns the
    number of jobs.
    """
    found = await database.retry(lambda c: _find(c, min_age), timeout=5)
    if not found:
        return 0
    return await database.retry(lambda c: _report(c, found), timeout=5, transaction=True)


async def _find(connection: Connection, min_age: timedelta) -> dict[UUID, tuple[UUID, WaitReason]]:
    """Return the execution and the reason of unreported jobs, by their ids."""
    ready = [(row["queue"], row["operation"]) for row in await sql.ready_operations(connection)]
    if not ready:
        return {}
    fleet = await read_fleet(connection, [queue for queue, _ in ready])
    blocked = [pair for pair in ready if fleet.reason(*pair, None).is_blocked]
    if not blocked:
        return {}
    rows = await sql.unreported_jobs(
        connection,
        queues=[queue for queue, _ in blocked],
        operations=[operation for _, operation in blocked],
        min_age=min_age.total_seconds(),
        limit=_BATCH_SIZE,
    )
    reasons = {
        row["id"]: (row["execution_id"], fleet.reason(row["queue"], row["operation"], row["reserved_for"]))
        for row in rows
    }
    return {job: found for job, found in reasons.items() if found[1].is_blocked}


async def _report(connection: Connection, found: dict[UUID, tuple[UUID, WaitReason]]) -> int:
    # Skips executions that another transaction has locked: the next search finds their jobs again.
    executions = list({execution for execution, _ in found.values()})
    locked = [row["id"] for row in await sql.try_lock_executions(connection, ids=executions)]
    rows = await sql.report_blocked_jobs(
        connection,
        ids=list(found),
        reasons=[reason.model_dump_json(exclude_none=True) for _, reason in found.values()],
        execution_ids=locked,
    )
    changes = Changes()
    for row in rows:
        changes.add_event(row, EventType.JOB_BLOCKED, blocked_data(found[row["id"]][1]))
    await changes.record(connection)
    return len(rows)
