"""Read the logs of jobs."""

from dataclasses import dataclass
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.json_storage import storable_text
from callsheet.domain.records import JobLogLine
from callsheet.domain.statuses import ENDED, EXECUTION_ENDED, JobStatus


@dataclass(frozen=True, slots=True)
class JobLogPage:
    """Log lines, oldest first."""

    lines: list[JobLogLine]
    numbers: list[int]
    """Number of each line."""
    ended: bool
    """Whether everything has ended and no line follows."""


async def job_log_page(
    database: Database, execution_id: UUID, job_id: str | None, *, after: int, limit: int
) -> JobLogPage:
    """Return the log lines of an execution, or of one of its jobs, with a number greater than `after`.

    Raises NotFound for an unknown execution or job.
    """

    async def read(connection: Connection) -> JobLogPage:
        # The status is read first: the lines of a run are stored before its end.
        job, ended = await _find(connection, execution_id, job_id)
        if job is None:
            rows = await sql.execution_logs_after(connection, execution_id=execution_id, after=after, limit=limit)
        else:
            rows = await sql.job_logs_after(connection, job=job, after=after, limit=limit)
        fields = ("job_id", "attempt", "at", "level", "logger", "message")
        lines = [JobLogLine(**{name: row[name] for name in fields}) for row in rows]
        return JobLogPage(lines, [row["number"] for row in rows], ended and len(rows) < limit)

    return await database.retry(read, timeout=5)


async def _find(connection: Connection, execution_id: UUID, job_id: str | None) -> tuple[UUID | None, bool]:
    """Return the record id of the job, and whether the job, or else the execution, has ended."""
    execution = await sql.get_execution(connection, id=execution_id)
    if execution is None:
        raise NotFound(f"There is no execution {execution_id}.")
    if job_id is None:
        return None, execution["status"] in EXECUTION_ENDED
    # PostgreSQL accepts no NUL character, and no id has one.
    known = "\0" not in job_id
    job = await sql.job_by_plan_id(connection, execution_id=execution_id, job_id=job_id) if known else None
    if job is None:
        raise NotFound(f"The execution {execution_id} has no job '{storable_text(job_id)}'.")
    return job["id"], JobStatus(job["status"]) in ENDED
