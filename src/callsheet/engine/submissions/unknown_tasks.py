"""Find tasks of a provider that no submission here knows, as after the restore of an older database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.providers.contract import ListedTask, Provider


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """The tasks of a provider, compared with the submissions here."""

    listed: int
    """Number of tasks that the provider lists."""
    unknown: Sequence[ListedTask]
    """Those that belong to no submission here, the oldest first."""
    unanswered: int
    """Number of submissions whose response was lost: unknown tasks may belong to them."""


async def find_unknown_tasks(database: Database, provider: Provider, since: datetime) -> TaskComparison:
    """List the provider's tasks since a time, and return those without a submission. Nothing is sent or cancelled.

    Raises ProviderUnreachable, ProviderRateLimited, or ProviderFailed when its API cannot list tasks.
    """
    listed = await provider.list_tasks(since)

    async def read(connection: Connection) -> tuple[set[str], int]:
        rows = await sql.known_tasks(connection, provider=provider.name, tasks=[task.id for task in listed])
        unanswered = await sql.unanswered_submissions(connection, provider=provider.name, since=since)
        return {row["provider_job_id"] for row in rows}, unanswered

    known, unanswered = await database.retry(read, timeout=5)
    unknown = [task for task in listed if task.id not in known]
    unknown.sort(key=lambda task: (task.created_at or since, task.id))
    return TaskComparison(len(listed), unknown, unanswered)
