"""Moves of jobs by people: run next, hold and release, change the queue or the priority, start later."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import Statement, sql
from callsheet.domain.clock import shared_now
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.errors import InvalidState, NotFound, Problem, ProblemList
from callsheet.domain.events import ReasonData
from callsheet.domain.moves import Move, moves_from
from callsheet.domain.queues import canonical_queue
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.reads.queues import list_queues
from callsheet.operation_api.catalog import Catalog

MAX_PRIORITY = 1_000_000
"""Of a person; plans may give at most 1,000."""
_CLAIM_TRIES = 200
_NO_EFFECT = {Move.HOLD: True, Move.RELEASE: False}
"""Whether a move of a job that is, or is not, on hold already has no effect."""


async def run_job_next(database: Database, job_id: UUID) -> None:
    """Queue a job before all others of its queue. Raises NotFound, or InvalidState in another status."""
    await _move(database, Move.RUN_NEXT, job_id, sql.run_job_next, _queued("run next"))


async def hold_job(database: Database, job_id: UUID) -> None:
    """Keep a job from starting. A job that is on hold stays so. Raises as `run_job_next`."""
    await _move(database, Move.HOLD, job_id, sql.hold_job, _held)


async def release_job(database: Database, job_id: UUID) -> None:
    """End the hold of a job; without a hold, this has no effect. Raises as `run_job_next`."""
    await _move(database, Move.RELEASE, job_id, sql.release_job, _released)


async def change_queue_of_job(database: Database, catalog: Catalog, job_id: UUID, queue: str) -> None:
    """Move a job to another queue. Raises as `run_job_next`, and ProblemList for an unknown queue."""
    queue = canonical_queue(queue)
    known = sorted(each.name for each in await list_queues(database, catalog))
    if queue not in known:
        message = f"there is no queue '{queue}'; there are {', '.join(known)}"
        raise ProblemList([Problem("queue", "bad_value", message)], "The job was not moved")
    moved = _queued(f"moved to the queue {queue}")
    await _move(database, Move.CHANGE_QUEUE, job_id, sql.change_queue_of_job, moved, queue=queue)


async def prioritize_job(database: Database, job_id: UUID, priority: int) -> None:
    """Change the priority of a job. Raises as `run_job_next`."""
    await _move(database, Move.PRIORITIZE, job_id, sql.prioritize_job, _unchanged, priority=priority)


async def start_job_later(database: Database, job_id: UUID, start_at: datetime) -> None:
    """Let a job start at a time, not earlier. Raises as `run_job_next`, and ProblemList for a time in the past."""
    if start_at <= shared_now():
        message = f"{start_at.isoformat()} is past; to start the job now, run it next"
        raise ProblemList([Problem("startAt", "out_of_range", message)], "The job was not moved")
    at = comparable_time(start_at)
    await _move(database, Move.START_LATER, job_id, sql.start_job_later, _scheduled, start_at=at)


_Record = Callable[[Changes, Mapping[str, Any]], None]


async def _move(
    database: Database, move: Move, job_id: UUID, statement: Statement, record: _Record, **values: object
) -> None:
    row = await database.retry(lambda c: sql.execution_of_job(c, id=job_id))
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    execution_id = row["execution_id"]

    async def try_once(connection: Connection) -> bool:
        await sql.execution_to_change(connection, id=execution_id)
        rows = await statement(connection, id=job_id, **values)
        if not rows:
            return _has_no_effect(move, await sql.get_job(connection, id=job_id))
        changes = Changes()
        record(changes, rows[0])
        await changes.record(connection)
        return True

    for _ in range(_CLAIM_TRIES):
        if await database.retry(try_once, transaction=True):
            return
        # A claim, or a poll, holds the lock of the row. After its commit the status decides.
        await asyncio.sleep(0.01)
    raise InvalidState("The job is being started; try again.")


def _has_no_effect(move: Move, job: Mapping[str, Any]) -> bool:
    """Return whether a job is already as the move makes it; False: its row is locked. Raises InvalidState."""
    status, is_on_hold = JobStatus(job["status"]), job["on_hold_at"] is not None
    if move in moves_from(status, is_on_hold=is_on_hold):
        return False
    if _NO_EFFECT.get(move) is is_on_hold and status in (JobStatus.PENDING, JobStatus.QUEUED, JobStatus.SCHEDULED):
        return True
    state = f"{status} and on hold" if is_on_hold else status
    raise InvalidState(f"The job is {state}; {move.replace('_', ' ')} is not possible now.")


def _queued(reason: str) -> _Record:
    def record(changes: Changes, row: Mapping[str, Any]) -> None:
        if row["status"] == "queued":
            changes.add_queued(row, reason)

    return record


def _held(changes: Changes, row: Mapping[str, Any]) -> None:
    changes.add_status(row, "pending", ReasonData(reason="on hold"))


def _released(changes: Changes, row: Mapping[str, Any]) -> None:
    if row["status"] == "pending":
        changes.add_status(row, "pending", ReasonData(reason="released"))
    else:
        changes.add_ready(row, "released")


def _scheduled(changes: Changes, row: Mapping[str, Any]) -> None:
    if row["status"] == "scheduled":
        changes.add_ready(row, "to start later")


def _unchanged(_changes: Changes, _row: Mapping[str, Any]) -> None:
    """Record nothing: the status stays."""
