"""Executions that came in by `/v1/videos`: a mark in their metadata tells them, and each has one job."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.statuses import JobStatus

JOB = "video"
"""The job's id in its plan."""
SHOWN = {"videos": "shown"}
"""In the metadata of an execution that is one of these, and was not deleted."""


@dataclass(frozen=True, slots=True)
class VideoJob:
    """How the job of a video stands."""

    id: UUID
    """Of the execution."""
    metadata: dict[str, Any]
    status: JobStatus
    progress: float
    params: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


async def find_video(database: Database, execution_id: UUID) -> VideoJob:
    """Return one; raises NotFound for what is none, or was deleted."""
    row = await database.retry(lambda c: sql.get_video(c, id=execution_id), seconds=5)
    if row is None:
        raise NotFound("There is no such video.")
    return _video(row)


async def list_videos(database: Database, *, after: UUID | None, newest_first: bool, most: int) -> list[VideoJob]:
    """Return one page; `after` is the last id of the page before."""
    statement = sql.newest_videos if newest_first else sql.oldest_videos
    return [_video(row) for row in await database.retry(lambda c: statement(c, after=after, most=most), seconds=5)]


async def mark_video_deleted(database: Database, execution_id: UUID) -> None:
    """Show it no more. The execution stays, for those who look for it by its id."""
    await database.retry(lambda c: sql.mark_video_deleted(c, id=execution_id), seconds=5)


def _video(row: Any) -> VideoJob:
    return VideoJob(
        id=row["id"],
        metadata=orjson.loads(row["metadata"]),
        status=JobStatus(row["status"]),
        progress=row["progress"],
        params=orjson.loads(row["params"]),
        result=orjson.loads(row["result"]) if row["result"] else None,
        error=orjson.loads(row["error"]) if row["error"] else None,
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
