"""Submissions that are held until a person releases them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.engine.jobs.changes import Changes

_BATCH = 500
"""Jobs that are released in one transaction."""


class HeldSubmission(Model):
    """A job whose submission to a provider waits for a person."""

    id: UUID = Field(description="Id of the job record")
    execution_id: UUID
    job_id: str = Field(description="Id of the job in its plan")
    operation: str
    provider: str
    held_at: datetime


async def list_held_submissions(database: Database, *, limit: int) -> list[HeldSubmission]:
    """Return the jobs whose submission is held, the longest wait first."""
    rows = await database.retry(lambda c: sql.held_jobs(c, provider=None, limit=limit), timeout=5)
    return [HeldSubmission(**row) for row in rows]


async def release_submissions(database: Database, ids: Sequence[UUID]) -> int:
    """Release the submissions of executions or jobs, also those that are not held yet. Return the number of held ones.

    Raises NotFound for an unknown id.
    """

    async def release(connection: Connection) -> int:
        unknown = set(ids) - {row["id"] for row in await sql.known_ids(connection, ids=ids)}
        if unknown:
            raise NotFound(f"There is no execution and no job {', '.join(sorted(map(str, unknown)))}.")
        jobs = await sql.unended_jobs_of(connection, ids=ids)
        return await _release(connection, [(row["id"], row["execution_id"]) for row in jobs])

    return await database.retry(release, transaction=True)


async def release_all_submissions(database: Database, provider: str | None = None) -> int:
    """Release all submissions that are held now, or those to one provider. Return their number."""
    released = 0

    async def release(connection: Connection) -> int:
        jobs = await sql.held_jobs(connection, provider=provider, limit=_BATCH)
        return await _release(connection, [(row["id"], row["execution_id"]) for row in jobs])

    while batch := await database.retry(release, transaction=True):
        released += batch
    return released


async def _release(connection: Connection, jobs: Sequence[tuple[UUID, UUID]]) -> int:
    await sql.lock_executions(connection, ids=list({execution for _, execution in jobs}))
    rows = await sql.release_jobs(connection, ids=[job for job, _ in jobs])
    changes = Changes()
    for row in rows:
        changes.add_queued(row, "its submission was released")
    await changes.record(connection)
    return len(rows)
