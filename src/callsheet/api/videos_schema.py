"""Response bodies of `/v1/videos`, in the format of OpenAI."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from callsheet.domain.errors import NotFound
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.videos import VideoJob

_PREFIX = "video_"

Status = Literal["queued", "in_progress", "completed", "failed"]

_STATUSES: Mapping[JobStatus, Status] = {
    # A started job becomes pending again while it waits for its child jobs, such as a ComfyUI job.
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


class _Response(BaseModel):
    """Base of the response bodies: they contain every field, also those with a default."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class VideoError(_Response):
    """Why a video failed."""

    code: str
    message: str


class Video(_Response):
    """A video in any status."""

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


class VideoPage(_Response):
    """One page of videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(_Response):
    """Confirms that a video was deleted."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


def video_id(execution_id: UUID) -> str:
    """Return the video id of an execution."""
    return _PREFIX + execution_id.hex


def execution_id_of(name: str) -> UUID:
    """Return the execution id of a video id. Raises NotFound for an invalid id."""
    try:
        return UUID(hex=name.removeprefix(_PREFIX))
    except ValueError:
        raise NotFound(f"There is no video '{name[:100]}'.") from None


def to_video(job: VideoJob) -> Video:
    """Return the video of a job."""
    status = _STATUSES[job.status]
    probe = (artifact_of(job) or {}).get("probe") or {}
    requested = job.metadata.get("requested") or {}
    return Video(
        id=video_id(job.id),
        status=status,
        progress=100 if status == "completed" else round(job.progress * 100),
        model=job.params["modelId"],
        prompt=job.params.get("prompt"),
        seconds=requested.get("seconds") or _seconds(probe),
        size=_size(probe) or requested.get("size"),
        created_at=int(job.created_at.timestamp()),
        completed_at=int(job.finished_at.timestamp()) if job.finished_at and status == "completed" else None,
        error=_error(job) if status == "failed" else None,
    )


def to_page(videos: list[Video], *, has_more: bool) -> VideoPage:
    """Return a page with its first and last id."""
    ids = [video.id for video in videos]
    return VideoPage(data=videos, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=has_more)


def artifact_of(job: VideoJob) -> dict[str, Any] | None:
    """Return the artifact record of the finished video, or None."""
    result = job.result or {}
    return next(iter([*result.get("videos", ()), *result.get("files", ())]), None)


def _seconds(probe: Mapping[str, Any]) -> str | None:
    return f"{round(probe['duration'], 2):g}" if probe.get("duration") else None


def _size(probe: Mapping[str, Any]) -> str | None:
    return f"{probe['width']}x{probe['height']}" if probe.get("width") and probe.get("height") else None


def _error(job: VideoJob) -> VideoError:
    if job.status is JobStatus.CANCELLED or job.error is None:
        return VideoError(code=str(job.status), message=f"The job was {job.status}.")
    return VideoError(code=job.error["code"], message=job.error["message"])
