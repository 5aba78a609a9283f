"""The response to a submission."""

import asyncio
from typing import Any
from uuid import UUID

from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus, JobStatus


class AcceptedJob(Model):
    """A stored job."""

    id: UUID = Field(description="Id of the job record, globally unique")
    job_id: str = Field(description="Id of the job in its plan")
    operation: str = Field(description="Canonical name of the operation, also if the plan used an alias")
    queue: str
    status: JobStatus


class Receipt(Model):
    """A stored execution."""

    execution_id: UUID
    status: ExecutionStatus
    jobs: list[AcceptedJob]


async def read_receipt(database: Database, execution_id: UUID) -> Receipt:
    """Return the current status of a stored execution and its jobs. Raises NotFound."""
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
