"""What a client gets to know right after it submitted a plan."""

from typing import Any
from uuid import UUID

from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus, JobStatus


class AcceptedJob(Model):
    """A job that is stored."""

    id: UUID = Field(description="Of the job record; unique everywhere")
    job_id: str = Field(description="The job's id in its plan")
    operation: str = Field(description="By its own name, where the plan used an alias")
    queue: str
    status: JobStatus


class Receipt(Model):
    """An execution that is stored."""

    execution_id: UUID
    status: ExecutionStatus
    jobs: list[AcceptedJob]


async def write_receipt(database: Database, execution_id: UUID) -> Receipt:
    """Return how a stored execution and its jobs stand now; raises NotFound."""
    rows: list[Any] = await database.retry(lambda c: sql.receipt(c, execution_id=execution_id), seconds=5)
    if not rows:
        raise NotFound(f"There is no execution {execution_id}.")
    jobs = [AcceptedJob(**{name: row[name] for name in AcceptedJob.model_fields}) for row in rows]
    return Receipt(execution_id=execution_id, status=ExecutionStatus(rows[0]["execution_status"]), jobs=jobs)


async def last_event_of(database: Database, execution_id: UUID) -> tuple[ExecutionStatus, int]:
    """Return an execution's status with the number of its newest event; raises NotFound."""

    async def read(connection: Connection) -> Any:
        return await sql.get_execution(connection, id=execution_id)

    row = await database.retry(read, seconds=5)
    if row is None:
        raise NotFound(f"There is no execution {execution_id}.")
    return ExecutionStatus(row["status"]), row["last_event"]
