"""The response to a submission."""

from typing import Any
from uuid import UUID

from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.domain.wait_reasons import WaitReason
from callsheet.engine.reads.wait_reasons import Fleet, read_fleet

_UNSTARTED = {JobStatus.PENDING, JobStatus.QUEUED}


class AcceptedJob(Model):
    """A stored job."""

    id: UUID = Field(description="Id of the job record, globally unique")
    job_id: str = Field(description="Id of the job in its plan")
    operation: str = Field(description="Canonical name of the operation, also if the plan used an alias")
    queue: str
    status: JobStatus


class SubmissionWarning(WaitReason):
    """Why some jobs of a stored plan cannot start at the moment, or will not when they are ready."""

    jobs: list[str] = Field(description="Ids of these jobs in the plan")


class Receipt(Model):
    """A stored execution."""

    execution_id: UUID
    status: ExecutionStatus
    jobs: list[AcceptedJob]
    warnings: list[SubmissionWarning] = Field(
        default_factory=list,
        description="Why jobs cannot start with the workers and queues as they are now. The plan is stored all the "
        "same: the jobs start when a worker can run them",
    )


async def read_receipt(database: Database, execution_id: UUID) -> Receipt:
    """Return the current status of a stored execution and its jobs. Raises NotFound."""

    async def read(connection: Connection) -> tuple[list[Any], Fleet]:
        rows = await sql.receipt(connection, execution_id=execution_id)
        return rows, await read_fleet(connection, {row["queue"] for row in rows})

    rows, fleet = await database.retry(read, timeout=5)
    if not rows:
        raise NotFound(f"There is no execution {execution_id}.")
    jobs = [AcceptedJob(**{name: row[name] for name in AcceptedJob.model_fields}) for row in rows]
    status = ExecutionStatus(rows[0]["execution_status"])
    return Receipt(execution_id=execution_id, status=status, jobs=jobs, warnings=_warnings(execution_id, jobs, fleet))


def _warnings(execution_id: UUID, jobs: list[AcceptedJob], fleet: Fleet) -> list[SubmissionWarning]:
    """Return one warning for each queue and operation whose unstarted jobs nothing can start."""
    waiting: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        if job.status in _UNSTARTED:
            waiting.setdefault((job.queue, job.operation), []).append(job.job_id)
    found = [(fleet.reason(*pair, execution_id), names) for pair, names in waiting.items()]
    return [SubmissionWarning(**dict(reason), jobs=names) for reason, names in found if reason.is_blocked]


async def status_and_last_event(database: Database, execution_id: UUID) -> tuple[ExecutionStatus, int]:
    """Return the status of an execution and the number of its newest event. Raises NotFound."""

    async def read(connection: Connection) -> Any:
        return await sql.get_execution(connection, id=execution_id)

    row = await database.retry(read, timeout=5)
    if row is None:
        raise NotFound(f"There is no execution {execution_id}.")
    return ExecutionStatus(row["status"]), row["last_event"]
