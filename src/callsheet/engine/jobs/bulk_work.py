"""Carry out bulk actions, part by part: any server or worker does the next part."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.bulk_actions import BulkFailure, BulkFilter, BulkKind
from callsheet.domain.errors import CallsheetError, InvalidState, NotFound
from callsheet.domain.queues import canonical_queue
from callsheet.engine.jobs.bulk_actions import execution_filter
from callsheet.engine.jobs.cancel import cancel_locked_executions
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.downstream import release_or_skip_downstream, request_provider_cancel
from callsheet.engine.jobs.owners import NO_LIMITS, InstallationLimits
from callsheet.engine.jobs.retry import retry_execution_in
from callsheet.engine.reads.executions import filter_arguments

log = structlog.get_logger(__name__)

_MAX_EXECUTIONS = {BulkKind.CANCEL: 500, BulkKind.RETRY: 100}
"""Executions that one transaction changes."""
_MAX_JOBS = 5000
"""Their jobs, so that no transaction takes long. An execution is never divided."""
_MAX_FAILURES = 20
"""Failures that are kept with their reasons."""
_PART_TIMEOUT = 30.0


@dataclass(slots=True)
class _Part:
    """What one transaction has done."""

    next_before: UUID | None = None
    processed: int = 0
    changed: int = 0
    failures: list[BulkFailure] = field(default_factory=list)
    is_last: bool = False


async def continue_bulk_actions(database: Database, limits: InstallationLimits = NO_LIMITS) -> int:
    """Carry out the bulk actions that are stored. Return the number of executions, or jobs, that were changed.

    Any number of processes may do this at the same time: one of them has a bulk action at a time. What a process that
    dies has not committed is done by another one. `limits` are those of all keys together, for retries.
    """
    total = 0
    while part := await database.retry(lambda c: _do_part(c, limits), timeout=_PART_TIMEOUT, transaction=True):
        total += part.changed
        if part.processed == 0 and not part.is_last:
            break  # claims hold all the rows: they are read again in the next round
    return total


async def _do_part(connection: Connection, limits: InstallationLimits = NO_LIMITS) -> _Part | None:
    """Do the next part of one bulk action. None: no action is to be done."""
    action = await sql.lock_open_bulk_action(connection)
    if action is None:
        return None
    kind = BulkKind(action["action"])
    given = BulkFilter.model_validate_json(action["filter"])
    if kind is BulkKind.EMPTY_QUEUE:
        part = await _cancel_ready_jobs(connection, canonical_queue(given.queue or ""), action["up_to"])
    else:
        part = await _change_executions(connection, kind, given, action, limits)
    await sql.record_bulk_part(
        connection,
        id=action["id"],
        next_before=part.next_before,
        processed=part.processed,
        changed=part.changed,
        failures=orjson.dumps([failure.model_dump(mode="json") for failure in part.failures]).decode(),
        most=_MAX_FAILURES,
        is_last=part.is_last,
    )
    return part


async def _change_executions(
    connection: Connection, kind: BulkKind, given: BulkFilter, action: Any, limits: InstallationLimits
) -> _Part:
    limit = _MAX_EXECUTIONS[kind]
    before = action["next_before"] or UUID(int=action["up_to"].int + 1)
    arguments = filter_arguments(execution_filter(kind, given))
    rows = await sql.next_matching_executions(connection, **arguments, before=before, limit=limit)
    chosen = _first_of(rows)
    part = _Part(
        next_before=chosen[-1]["id"] if chosen else before,
        processed=len(chosen),
        is_last=len(chosen) == len(rows) < limit,
    )
    ids = [row["id"] for row in chosen]
    if kind is BulkKind.CANCEL:
        unended = [row["id"] for row in await sql.lock_unfinished_executions(connection, ids=ids)]
        if unended:
            await cancel_locked_executions(connection, unended)
        part.changed = len(unended)
    else:
        await _retry(connection, ids, part, limits)
    return part


def _first_of(rows: Sequence[Any]) -> Sequence[Any]:
    """Return the first executions that have at most `_MAX_JOBS` jobs together, but at least one."""
    jobs = 0
    for position, row in enumerate(rows):
        jobs += row["job_count"]
        if jobs > _MAX_JOBS and position:
            return rows[:position]
    return rows


async def _retry(connection: Connection, ids: list[UUID], part: _Part, limits: InstallationLimits) -> None:
    for row in await sql.lock_executions(connection, ids=ids):
        try:
            async with connection.transaction():  # a savepoint: one that is refused leaves nothing
                await retry_execution_in(connection, row["id"], limits=limits)
        except (InvalidState, NotFound):
            continue  # it has started again, or was deleted, meanwhile
        except CallsheetError as error:
            part.failures.append(BulkFailure(execution_id=row["id"], code=error.code, message=error.message))
        else:
            part.changed += 1


async def _cancel_ready_jobs(connection: Connection, queue: str, up_to: UUID) -> _Part:
    rows = await sql.ready_jobs(connection, queue=queue, up_to=up_to, limit=_MAX_EXECUTIONS[BulkKind.CANCEL])
    await sql.lock_executions(connection, ids=list({row["execution_id"] for row in rows}))
    changes = Changes()
    ended = await sql.cancel_ready_jobs(connection, ids=[row["id"] for row in rows], queue=queue)
    for row in ended:
        changes.add_status(row, "cancelled")
    await request_provider_cancel(connection, changes, ended)
    await release_or_skip_downstream(connection, changes, ended)
    await changes.record(connection)
    return _Part(processed=len(ended), changed=len(ended), is_last=not rows)
