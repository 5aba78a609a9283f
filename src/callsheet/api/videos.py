"""`/v1/videos`: every model that makes films, in OpenAI's shape."""

import asyncio
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from callsheet.api.dependencies import RuntimeDep
from callsheet.api.errors import ApiError
from callsheet.api.files import FileRequest, answer_with
from callsheet.api.videos_request import Upload, VideoRequest, read_video_request, to_openai_errors
from callsheet.api.videos_schema import (
    DeletedVideo,
    Video,
    VideoPage,
    execution_of,
    film_of,
    page_of,
    video_of,
)
from callsheet.domain.errors import InvalidState, NotFound, PlanRefused
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import read_submission
from callsheet.domain.statuses import ENDED
from callsheet.engine.jobs.cancel import cancel_execution
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
from callsheet.providers.registry import read_registry
from callsheet.wiring import Runtime

router = APIRouter(prefix="/v1/videos", include_in_schema=False)
"""It stands in OpenAI's own description, not in ours."""

_ASK_AGAIN = "2000"
"""Milliseconds after which a client looks again."""


@router.post("")
async def create_video(
    request: Request, response: Response, runtime: RuntimeDep, idempotency_key: Annotated[str | None, Header()] = None
) -> Video:
    """Order a film. The body is a form, with a picture as `input_reference` if one is sent, or JSON."""
    registry = await asyncio.to_thread(read_registry, runtime.settings.models_file)
    wanted = await read_video_request(request, registry)
    try:
        submission = _submission(wanted)
        # The upload is stored once the plan has passed its checks, and before a worker can run the job.
        stored = await submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=1,
            idempotency_key=idempotency_key or None,
            before_insert=None if wanted.upload is None else partial(_keep, runtime, wanted.upload),
        )
    except PlanRefused as refused:
        raise to_openai_errors(refused.problems) from None
    return _shown(await find_video(runtime.database, stored.execution_id), response)


@router.get("")
async def list_all_videos(
    runtime: RuntimeDep,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> VideoPage:
    """One page of those that were not deleted."""
    last = execution_of(after) if after else None
    found = await list_videos(runtime.database, after=last, newest_first=order == "desc", limit=limit + 1)
    return page_of([video_of(job) for job in found[:limit]], has_more=len(found) > limit)


@router.get("/{name}")
async def read_video(name: str, runtime: RuntimeDep, response: Response) -> Video:
    """How a film stands."""
    return _shown(await _find(runtime, name), response)


@router.delete("/{name}")
async def delete_video(name: str, runtime: RuntimeDep) -> DeletedVideo:
    """Show a film no more; where it is still being made, that is cancelled."""
    job = await _find(runtime, name)
    with suppress(InvalidState):  # it had ended
        await cancel_execution(runtime.database, job.id)
    await mark_video_deleted(runtime.database, job.id)
    return DeletedVideo(id=name)


@router.get("/{name}/content")
@router.head("/{name}/content")
async def read_content(
    name: str,
    request: Request,
    runtime: RuntimeDep,
    variant: Literal["video", "thumbnail", "spritesheet"] = "video",
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """The film itself, whole or one range of its bytes."""
    job = await _find(runtime, name)
    if variant != "video":
        raise NotFound(f"There is no {variant} of a film here; ask for the variant 'video'.")
    film = film_of(job)
    if film is None:
        status = video_of(job).status
        raise ApiError(404, "video_not_ready", f"There is no film yet: the video is {status}.")
    artifact = await find_artifact(runtime.database, UUID(film["artifactId"]))
    return await answer_with(runtime, artifact, FileRequest(request.method, wanted, if_none_match, if_range))


async def _find(runtime: Runtime, name: str) -> VideoJob:
    return await find_video(runtime.database, execution_of(name))


def _shown(job: VideoJob, response: Response) -> Video:
    if job.status not in ENDED:
        response.headers["openai-poll-after-ms"] = _ASK_AGAIN
    return video_of(job)


def _submission(wanted: VideoRequest) -> Submission:
    metadata: dict[str, Any] = {**VISIBLE_VIDEO, "asked": wanted.asked}
    jobs = [{"id": VIDEO_JOB_ID, "operation": "generate", "params": wanted.params}]
    return read_submission({"executionPlan": {"jobs": jobs}, "metadata": metadata})


async def _keep(runtime: Runtime, upload: Upload) -> None:
    """Store a file that was sent; where the same one lies already, it is written once more."""
    with tempfile.TemporaryDirectory(prefix="callsheet-upload-") as folder:
        path = Path(folder) / "upload"
        await asyncio.to_thread(path.write_bytes, upload.data)
        await runtime.storage.put(upload.key, path)
