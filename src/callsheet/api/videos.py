"""`/v1/videos`: an OpenAI-compatible API for all video models."""

import asyncio
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from callsheet.api import videos_description as description
from callsheet.api.dependencies import RuntimeDep, caller_of
from callsheet.api.errors import ApiError
from callsheet.api.files import FileRequest, file_response
from callsheet.api.videos_params import VideoParams, to_openai_errors
from callsheet.api.videos_request import Upload, read_video_request
from callsheet.api.videos_schema import (
    DeletedVideo,
    Video,
    VideoPage,
    artifact_of,
    execution_id_of,
    to_page,
    to_video,
)
from callsheet.domain.errors import InvalidState, NotFound, PlanRefused
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import read_submission
from callsheet.domain.statuses import ENDED
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.owners import owner_of
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.artifacts import find_artifact
from callsheet.engine.reads.videos import (
    VIDEO_JOB_ID,
    VISIBLE_VIDEO,
    VideoJob,
    find_video,
    list_videos,
    mark_video_deleted,
)
from callsheet.engine.uploads import announce_upload, complete_upload
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.providers.registry import read_registry
from callsheet.wiring import Runtime

router = APIRouter(prefix="/v1/videos", tags=["videos"])

_POLL_AFTER_MS = "2000"
"""Recommended time between two polls of a client, in milliseconds."""


@router.post(
    "",
    summary="Create a video",
    responses=description.video_responses(402, 408, 413, 415, example=description.video),
    openapi_extra=description.create,
)
async def create_video(
    request: Request, response: Response, runtime: RuntimeDep, idempotency_key: Annotated[str | None, Header()] = None
) -> Video:
    """Submit a video. The body is JSON, or a form that may have an image as the file `input_reference`."""
    registry = await asyncio.to_thread(read_registry, runtime.settings.models_file)
    video_request = await read_video_request(request, registry)
    try:
        submission = _submission(video_request.video)
        upload = video_request.upload
        # The upload is stored once the plan has passed its checks, and before a worker can run the job.
        stored = await submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=1,
            idempotency_key=idempotency_key or None,
            before_insert=None if upload is None else partial(_store_upload, runtime, upload),
            owner=owner_of(caller_of(request), runtime.settings),
            monthly_budget=runtime.settings.monthly_budget,
        )
    except PlanRefused as refused:
        raise to_openai_errors(refused) from None
    return _with_poll_header(await find_video(runtime.database, stored.execution_id), response)


@router.get(
    "", name="list_videos", summary="List videos", responses=description.video_responses(404, example=description.page)
)
async def list_all_videos(
    runtime: RuntimeDep,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> VideoPage:
    """Return a page of videos. Deleted videos are left out."""
    last = execution_id_of(after) if after else None
    found = await list_videos(runtime.reads, after=last, newest_first=order == "desc", limit=limit + 1)
    return to_page([to_video(job) for job in found[:limit]], has_more=len(found) > limit)


@router.get("/{name}", summary="Read a video", responses=description.video_responses(404, example=description.video))
async def read_video(name: str, runtime: RuntimeDep, response: Response) -> Video:
    """Return a video with its status."""
    return _with_poll_header(await _find(runtime, name), response)


@router.delete(
    "/{name}", summary="Delete a video", responses=description.video_responses(404, 413, example=description.deleted)
)
async def delete_video(name: str, runtime: RuntimeDep) -> DeletedVideo:
    """Delete a video. If it is still in progress, its execution is cancelled."""
    job = await _find(runtime, name)
    with suppress(InvalidState):  # The execution has ended.
        await cancel_execution(runtime.database, job.id)
    await mark_video_deleted(runtime.database, job.id)
    return DeletedVideo(id=name)


@router.get(
    "/{name}/content",
    name="read_video_content",
    summary="Get the file of a video",
    response_class=Response,
    responses=description.content,
)
@router.head("/{name}/content", include_in_schema=False)
async def read_content(
    name: str,
    request: Request,
    runtime: RuntimeDep,
    variant: Literal["video", "thumbnail", "spritesheet"] = "video",
    range_header: Annotated[str | None, Header(alias="Range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the video file, or one byte range of it."""
    job = await _find(runtime, name)
    if variant != "video":
        raise NotFound(f"The variant '{variant}' is not supported; request the variant 'video'.")
    record = artifact_of(job)
    if record is None:
        status = to_video(job).status
        raise ApiError(404, "video_not_ready", f"The video has no content: its status is {status}.")
    artifact = await find_artifact(runtime.database, UUID(record["artifactId"]))
    return await file_response(runtime, artifact, FileRequest(request.method, range_header, if_none_match, if_range))


async def _find(runtime: Runtime, name: str) -> VideoJob:
    return await find_video(runtime.database, execution_id_of(name))


def _with_poll_header(job: VideoJob, response: Response) -> Video:
    if job.status not in ENDED:
        response.headers["openai-poll-after-ms"] = _POLL_AFTER_MS
    return to_video(job)


def _submission(video: VideoParams) -> Submission:
    metadata: dict[str, Any] = {**VISIBLE_VIDEO, "requested": video.requested}
    jobs = [{"id": VIDEO_JOB_ID, "operation": "generate", "params": video.params}]
    return read_submission({"executionPlan": {"jobs": jobs}, "metadata": metadata})


async def _store_upload(runtime: Runtime, upload: Upload) -> None:
    """Store an uploaded file, unless an equal one is stored already."""
    announced = await announce_upload(
        runtime.database,
        runtime.storage,
        runtime.settings,
        sha256=upload.sha256,
        size=len(upload.data),
        name=upload.key,
    )
    if announced.completed_at is not None:
        return
    with tempfile.TemporaryDirectory(prefix="upload-", dir=own_scratch_folder(runtime.settings.scratch_dir)) as folder:
        path = Path(folder) / "upload"
        await asyncio.to_thread(path.write_bytes, upload.data)
        await complete_upload(runtime.database, runtime.storage, announced, path)
