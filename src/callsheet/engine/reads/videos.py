"""Read executions that were created through `/v1/videos`. Their metadata marks them, and each has one job."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.statuses import JobStatus

VIDEO_JOB_ID = "video"
"""Id of the job in its plan."""
VISIBLE_VIDEO = {"videos": "shown"}
"""Metadata of an execution that is a video and has not been deleted."""


@dataclass(frozen=True, slots=True)
class VideoJob:
    """The job of a video."""

    id: UUID
    """Id of the execution."""
    metadata: dict[str, Any]
    status: JobStatus
    progress: float
    """0 to 1."""
    params: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


async def find_video(database: Database, execution_id: UUID) -> VideoJob:
    """Return a video. Raises NotFound if the execution is not a video or was deleted."""
    row = await database.retry(lambda c: sql.get_video(c, id=execution_id), timeout=5)
    if row is None:
        raise NotFound("There is no such video.")
    return _video(row)


async def list_videos(database: Database, *, after: UUID | None, newest_first: bool, limit: int) -> list[VideoJob]:
    """Return one page of videos. `after` is the last id of the previous page."""
    statement = sql.newest_videos if newest_first else sql.oldest_videos
    return [_video(row) for row in await database.retry(lambda c: statement(c, after=after, limit=limit), timeout=5)]


async def mark_video_deleted(database: Database, execution_id: UUID) -> None:
    """Hide a video. Its execution remains and can be read by its id."""
    await database.retry(lambda c: sql.mark_video_deleted(c, id=execution_id), timeout=5)


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
