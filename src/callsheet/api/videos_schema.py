"""Videos in OpenAI's shape."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from callsheet.domain.errors import NotFound
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.videos import VideoJob

_PREFIX = "video_"

Status = Literal["queued", "in_progress", "completed", "failed"]

_STATUSES: Mapping[JobStatus, Status] = {
    # It has begun, and waits for what our own servers make for it.
    JobStatus.PENDING: "in_progress",
    JobStatus.SCHEDULED: "queued",
    JobStatus.QUEUED: "queued",
    JobStatus.RUNNING: "in_progress",
    JobStatus.WAITING: "in_progress",
    JobStatus.SUCCEEDED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "failed",
    JobStatus.SKIPPED: "failed",
}


class VideoError(BaseModel):
    """Why there is no film."""

    code: str
    message: str


class Video(BaseModel):
    """A film that is made, or was."""

    id: str
    object: Literal["video"] = "video"
    status: Status
    progress: int
    model: str
    prompt: str | None
    seconds: str | None
    size: str | None
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    error: VideoError | None
    remixed_from_video_id: str | None = None


class VideoPage(BaseModel):
    """One page of videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(BaseModel):
    """That a video is gone."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


def video_id(execution_id: UUID) -> str:
    """Return the id of the video that an execution makes."""
    return _PREFIX + execution_id.hex


def execution_of(name: str) -> UUID:
    """Return the execution that makes a video; raises NotFound for what is no id of one."""
    try:
        return UUID(hex=name.removeprefix(_PREFIX))
    except ValueError:
        raise NotFound(f"There is no video '{name[:100]}'.") from None


def video_of(job: VideoJob) -> Video:
    """Return a video as it stands."""
    status = _STATUSES[job.status]
    probe = (film_of(job) or {}).get("probe") or {}
    asked = job.metadata.get("asked") or {}
    return Video(
        id=video_id(job.id),
        status=status,
        progress=100 if status == "completed" else round(job.progress * 100),
        model=job.params["modelId"],
        prompt=job.params.get("prompt"),
        seconds=asked.get("seconds") or _seconds(probe),
        size=_size(probe) or asked.get("size"),
        created_at=int(job.created_at.timestamp()),
        completed_at=int(job.finished_at.timestamp()) if job.finished_at and status == "completed" else None,
        error=_error(job) if status == "failed" else None,
    )


def page_of(videos: list[Video], *, has_more: bool) -> VideoPage:
    """Return a page with its bounds."""
    ids = [video.id for video in videos]
    return VideoPage(data=videos, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=has_more)


def film_of(job: VideoJob) -> dict[str, Any] | None:
    """Return the record of the film that a job made, if it has made one."""
    made = job.result or {}
    return next(iter([*made.get("videos", ()), *made.get("files", ())]), None)


def _seconds(probe: Mapping[str, Any]) -> str | None:
    return f"{round(probe['duration'], 2):g}" if probe.get("duration") else None


def _size(probe: Mapping[str, Any]) -> str | None:
    return f"{probe['width']}x{probe['height']}" if probe.get("width") and probe.get("height") else None


def _error(job: VideoJob) -> VideoError:
    if job.status is JobStatus.CANCELLED or job.error is None:
        return VideoError(code=str(job.status), message=f"The job was {job.status}.")
    return VideoError(code=job.error["code"], message=job.error["message"])
