"""Request, preview, read and stop bulk actions. `bulk_work` carries them out."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.bulk_actions import (
    BulkAction,
    BulkExample,
    BulkFilter,
    BulkKind,
    BulkPreview,
    BulkRequest,
)
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.errors import NotFound
from callsheet.domain.ids import new_id
from callsheet.domain.queues import canonical_queue
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.reads.executions import ExecutionFilter, filter_arguments

_COUNT_TIMEOUT = 60.0
"""Seconds to count a long history."""
_EXAMPLES = 5


def execution_filter(action: BulkKind, given: BulkFilter) -> ExecutionFilter:
    """Return the filter of the executions that an action can change."""
    wanted = action.statuses if given.status is None else [each for each in action.statuses if each in given.status]
    fields = {name: getattr(given, name) for name in BulkFilter.model_fields if name != "status"}
    found = ExecutionFilter(statuses=wanted, **fields)
    return replace(
        found,
        queue=canonical_queue(found.queue) if found.queue else None,
        created_after=comparable_time(found.created_after) if found.created_after else None,
        created_before=comparable_time(found.created_before) if found.created_before else None,
    )


async def preview_bulk_action(database: Database, request: BulkRequest) -> BulkPreview:
    """Return what a bulk action would change, and change nothing."""

    async def read(connection: Connection) -> BulkPreview:
        up_to = request.up_to or new_id()
        if request.action is BulkKind.EMPTY_QUEUE:
            jobs = await _ready_jobs(connection, request)
            return BulkPreview(action=request.action, matched=jobs, counts={}, examples=[], up_to=up_to)
        arguments = _arguments(request, up_to)
        rows = await sql.count_matching_executions(connection, **arguments)
        counts = {ExecutionStatus(row["status"]): row["executions"] for row in rows}
        newest = await sql.next_matching_executions(connection, **arguments, limit=_EXAMPLES)
        return BulkPreview(
            action=request.action,
            matched=sum(counts.values()),
            counts=counts,
            examples=[BulkExample(execution_id=row["id"], name=row["name"], status=row["status"]) for row in newest],
            up_to=up_to,
        )

    return await database.retry(read, timeout=_COUNT_TIMEOUT)


async def request_bulk_action(database: Database, request: BulkRequest, *, requested_by: str) -> BulkAction:
    """Store a bulk action. Servers and workers carry it out."""
    preview = await preview_bulk_action(database, request)
    action_id = new_id()
    await database.retry(
        lambda c: sql.insert_bulk_action(
            c,
            id=action_id,
            action=request.action,
            filter=request.filter.model_dump_json(exclude_none=True),
            matched=preview.matched,
            up_to=preview.up_to,
            requested_by=requested_by,
        ),
        timeout=10,
    )
    return await get_bulk_action(database, action_id)


async def get_bulk_action(database: Database, action_id: UUID) -> BulkAction:
    """Return a bulk action, and how far it is. Raises NotFound."""
    row = await database.retry(lambda c: sql.bulk_action(c, id=action_id), timeout=5)
    if row is None:
        raise NotFound(f"There is no bulk action {action_id}.")
    return _record(row)


async def list_bulk_actions(database: Database, *, before: UUID | None, limit: int) -> list[BulkAction]:
    """Return one page of bulk actions, newest first. `before` is the last id of the previous page."""
    rows = await database.retry(lambda c: sql.list_bulk_actions(c, before=before, limit=limit), timeout=5)
    return [_record(row) for row in rows]


async def stop_bulk_action(database: Database, action_id: UUID) -> BulkAction:
    """End a bulk action early. What it has changed stays so; one that has ended is left as it is. Raises NotFound."""
    await database.retry(lambda c: sql.stop_bulk_action(c, id=action_id), timeout=15)
    return await get_bulk_action(database, action_id)


def _arguments(request: BulkRequest, up_to: UUID) -> dict[str, Any]:
    return {**filter_arguments(execution_filter(request.action, request.filter)), "before": UUID(int=up_to.int + 1)}


async def _ready_jobs(connection: Connection, request: BulkRequest) -> int:
    return int(await sql.count_ready_jobs(connection, queue=canonical_queue(request.filter.queue or "")))


def _record(row: Any) -> BulkAction:
    ended = "stopped" if row["stopped"] else "finished"
    facts = {name: row[name] for name in ("id", "action", "matched", "processed", "changed", "failed", "requested_by")}
    return BulkAction(
        **facts,
        filter=BulkFilter.model_validate_json(row["filter"]),
        status="running" if row["finished_at"] is None else ended,
        unchanged=row["processed"] - row["changed"] - row["failed"],
        failures=orjson.loads(row["failures"]),
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
