"""The response to a submission."""

from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import NotFound
from callsheet.domain.records import AcceptedJob, Receipt, SubmissionWarning
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.engine.jobs.execution_rows import ExecutionRows
from callsheet.engine.jobs.submit import SubmittedPlan
from callsheet.engine.reads.wait_reasons import Fleet, FleetSnapshot
from callsheet.processes.plan_thread import in_plan_thread

_UNSTARTED = {JobStatus.PENDING, JobStatus.QUEUED, JobStatus.SCHEDULED}
_MAX_JOBS_ON_LOOP = 100
"""The receipt of a larger plan is made in a thread, so that it does not block the event loop."""


async def receipt_of(database: Database, plan: SubmittedPlan) -> Receipt:
    """Return the receipt of a submitted plan: as it was stored, or for a duplicate, its current status.

    The warnings follow from a snapshot of the workers and queues that is at most a second old.
    """
    fleet = await database.shared(FleetSnapshot).read()
    rows = plan.rows
    if rows is None:
        stored = await _read_rows(database, plan.execution_id)
        return await in_plan_thread(_receipt_of_stored, plan.execution_id, stored, fleet)
    if len(rows.jobs) <= _MAX_JOBS_ON_LOOP:
        return _receipt_of_rows(rows, fleet)
    return await in_plan_thread(_receipt_of_rows, rows, fleet)


async def _read_rows(database: Database, execution_id: UUID) -> list[Any]:
    rows: list[Any] = await database.retry(lambda c: sql.receipt(c, execution_id=execution_id), timeout=5)
    if not rows:
        raise NotFound(f"There is no execution {execution_id}.")
    return rows


def _receipt_of_stored(execution_id: UUID, rows: list[Any], fleet: Fleet | None) -> Receipt:
    jobs = [AcceptedJob(**{name: row[name] for name in AcceptedJob.model_fields}) for row in rows]
    status = ExecutionStatus(rows[0]["execution_status"])
    warnings = _warnings(jobs, rows[0]["reserved_for"], fleet)
    estimate = CostEstimate(amount=rows[0]["estimated_cost"] or 0)
    return Receipt(execution_id=execution_id, status=status, jobs=jobs, estimated_cost=estimate, warnings=warnings)


def _receipt_of_rows(rows: ExecutionRows, fleet: Fleet | None) -> Receipt:
    jobs = rows.accepted_jobs()
    warnings = _warnings(jobs, rows.reserved_for, fleet)
    return Receipt(
        execution_id=rows.execution_id,
        status=ExecutionStatus.QUEUED,
        jobs=jobs,
        estimated_cost=rows.estimate,
        warnings=warnings,
    )


def _warnings(jobs: list[AcceptedJob], reserved_for: UUID | None, fleet: Fleet | None) -> list[SubmissionWarning]:
    """Return one warning for each queue and operation whose unstarted jobs nothing can start."""
    if fleet is None:
        return []
    waiting: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        if job.status in _UNSTARTED:
            waiting.setdefault((job.queue, job.operation), []).append(job.job_id)
    found = [(fleet.reason(*pair, reserved_for), names) for pair, names in waiting.items()]
    return [SubmissionWarning(**dict(reason), jobs=names) for reason, names in found if reason.is_blocked]


async def status_and_last_event(database: Database, execution_id: UUID) -> tuple[ExecutionStatus, int]:
    """Return the status of an execution and the number of its newest event. Raises NotFound."""

    async def read(connection: Connection) -> Any:
        return await sql.get_execution(connection, id=execution_id)

    row = await database.retry(read, timeout=5)
    if row is None:
        raise NotFound(f"There is no execution {execution_id}.")
    return ExecutionStatus(row["status"]), row["last_event"]
