"""The response to a submission."""

import asyncio
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.execution_rows import AcceptedJob, ExecutionRows
from callsheet.engine.jobs.submit import SubmittedPlan

_MAX_JOBS_ON_LOOP = 100
"""The receipt of a larger plan is made in a thread, so that it does not block the event loop."""


class Receipt(Model):
    """A stored execution."""

    execution_id: UUID
    status: ExecutionStatus
    jobs: list[AcceptedJob]


async def receipt_of(database: Database, plan: SubmittedPlan) -> Receipt:
    """Return the receipt of a submitted plan: as it was stored, or for a duplicate, its current status."""
    if plan.rows is None:
        return await _read_receipt(database, plan.execution_id)
    if len(plan.rows.jobs) <= _MAX_JOBS_ON_LOOP:
        return _receipt_of_rows(plan.execution_id, plan.rows)
    return await asyncio.to_thread(_receipt_of_rows, plan.execution_id, plan.rows)


def _receipt_of_rows(execution_id: UUID, rows: ExecutionRows) -> Receipt:
    return Receipt(execution_id=execution_id, status=ExecutionStatus.QUEUED, jobs=rows.accepted_jobs())


async def _read_receipt(database: Database, execution_id: UUID) -> Receipt:
    rows: list[Any] = await database.retry(lambda c: sql.receipt(c, execution_id=execution_id), timeout=5)
    if not rows:
        raise NotFound(f"There is no execution {execution_id}.")
    return await asyncio.to_thread(_receipt, execution_id, rows)


def _receipt(execution_id: UUID, rows: list[Any]) -> Receipt:
    jobs = [AcceptedJob(**{name: row[name] for name in AcceptedJob.model_fields}) for row in rows]
    return Receipt(execution_id=execution_id, status=ExecutionStatus(rows[0]["execution_status"]), jobs=jobs)


async def status_and_last_event(database: Database, execution_id: UUID) -> tuple[ExecutionStatus, int]:
    """Return the status of an execution and the number of its newest event. Raises NotFound."""

    async def read(connection: Connection) -> Any:
        return await sql.get_execution(connection, id=execution_id)

    row = await database.retry(read, timeout=5)
    if row is None:
        raise NotFound(f"There is no execution {execution_id}.")
    return ExecutionStatus(row["status"]), row["last_event"]
