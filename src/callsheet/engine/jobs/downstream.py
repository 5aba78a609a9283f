"""Effects of an ended job on other jobs and on providers."""

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.engine.jobs.changes import Changes


async def release_or_skip_downstream(connection: Connection, changes: Changes, ended: list[asyncpg.Record]) -> None:
    """Release the downstream jobs of jobs that succeeded, and skip those of the others."""
    upstream = [row for row in ended if row["has_downstream"]]
    done = [row["id"] for row in upstream if _satisfies_dependency(row)]
    not_done = [row["id"] for row in upstream if not _satisfies_dependency(row)]
    if done:
        for row in await sql.release_downstream(connection, upstream=done):
            if row["status"] != "pending":
                changes.add_ready(row)
    if not_done:
        for row in await sql.skip_downstream(connection, upstream=not_done):
            changes.add_status(row, "skipped")


def _satisfies_dependency(row: asyncpg.Record) -> bool:
    return bool(row["status"] == "succeeded" or (row["status"] == "failed" and row["continue_on_failure"]))


async def request_provider_cancel(connection: Connection, changes: Changes, rows: Iterable[Mapping[str, Any]]) -> None:
    """Request the cancellation of the open submissions of those jobs in `rows` that are cancelled.

    Adds an event for each submission of unknown outcome, because the provider may be working on it and charge for it.
    """
    cancelled = {row["id"]: row for row in rows if row["status"] == "cancelled"}
    if not cancelled:
        return
    for unknown in await sql.request_provider_cancel(connection, jobs=list(cancelled)):
        changes.add_event(
            cancelled[unknown["job"]],
            EventType.JOB_LOG,
            unknown_submission_event(unknown, "If its task can be found, it is cancelled."),
        )


def unknown_submission_event(submission: Mapping[str, Any], next_step: str) -> dict[str, Any]:
    """Return the data of an event about a submission of unknown outcome. `next_step` is the end of its message."""
    sent_at = submission["created_at"].isoformat()
    return {
        "message": f"A request was sent to {submission['provider']} at {sent_at}, but it is unknown whether the "
        f"provider accepted it. The provider may be working on it and charge for it. {next_step}",
        "provider": submission["provider"],
        "model": submission["model"],
        "submission": str(submission["id"]),
        "sentAt": sent_at,
    }
