"""Upscaling by a workflow on ComfyUI servers: a child job for each part of the video; then the parts are joined."""

import asyncio
import shutil
from functools import partial

from callsheet.domain.errors import BadParams, Problem, ProviderFailed
from callsheet.domain.media_source import MediaSource
from callsheet.media.enhancement.container_choice import EnhancedFormat
from callsheet.media.enhancement.plan import Listing
from callsheet.media.enhancement.requests import VideoSource
from callsheet.media.enhancement.video_source import source_notes, video_source
from callsheet.media.probing.probe import MediaInfo
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs
from callsheet.operations.enhancement import join_video, output_format
from callsheet.operations.upscale_comfyui_part import list_parts, prepare_part, upscale_comfyui_part
from callsheet.operations.upscale_params import RemotePart, UpscaleParams, UpscaleResult

_PART_PIXELS = 50_000_000
"""Pixels of the frames of one part, by default: the server holds all of them, and the larger ones, in memory."""


async def upscale_on_comfyui(job: Context, params: UpscaleParams, media: MediaInfo) -> UpscaleResult:
    """Upscale a video by a workflow. Raises RunChildJobs first, and ProviderFailed if a child job failed."""
    if media.still:
        message = "the engine comfyui upscales videos; give an image to a `comfyui` job, or use the engine local"
        raise BadParams([Problem("src", "not_a_video", message)])
    format = output_format(params, media)
    source = video_source(media)
    await asyncio.to_thread(prepare_part, job, params)  # its errors come before those of each child job
    sized = params.model_copy(update={"part_frames": _part_frames(params, media)})
    listing = await list_parts(job, sized, source)
    if not job.children_done:
        raise RunChildJobs([_child(sized, number) for number in range(len(listing.parts))])
    parts = [await _fetch(job, number, listing) for number in range(len(listing.parts))]
    return await _join(job, params, media, source, listing, parts, format)


def _part_frames(params: UpscaleParams, media: MediaInfo) -> int:
    pixels = max(1, (media.probe.width or 1) * (media.probe.height or 1))
    is_given = "part_frames" in params.model_fields_set
    return params.part_frames if is_given else max(2, min(params.part_frames, _PART_PIXELS // pixels))


def _child(params: UpscaleParams, number: int) -> ChildJob:
    fields = params.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return ChildJob(_child_id(number), upscale_comfyui_part.name, {"video": fields, "part": number})


def _child_id(number: int) -> str:
    return f"part-{number + 1}"


async def _fetch(job: Context, number: int, listing: Listing) -> RemotePart:
    """Fetch the file of a part to the place where it is joined."""
    result = (await job.child_results()).get(_child_id(number))
    if result is None:
        child = f"{job.job_id}/{_child_id(number)}"
        raise ProviderFailed(
            f"ComfyUI did not make part {number + 1} of {len(listing.parts)}; see the job {child} for the reason."
        )
    part = RemotePart.model_validate(result)
    path = await job.fetch_input(MediaSource(part.video))
    await asyncio.to_thread(shutil.copyfile, path, job.dir / f"{number}.mp4")
    return part


async def _join(
    job: Context,
    params: UpscaleParams,
    media: MediaInfo,
    source: VideoSource,
    listing: Listing,
    parts: list[RemotePart],
    format: EnhancedFormat,
) -> UpscaleResult:
    joined = await join_video(job, media, partial(listing.join_request, source, str(job.dir)), format)
    servers = sorted({part.server for part in parts if part.server is not None})
    notes = [*source_notes(media), *joined.notes]
    if source.depth > 8:
        notes.append(f"the {source.depth} bits per color became 8: ComfyUI saves images with 8")
    return UpscaleResult(
        file=joined.video,
        video=joined.video,
        image=None,
        engine="comfyui",
        model=params.model or params.workflow,
        device=", ".join(servers) or None,
        frames=joined.frames,
        parts=len(parts),
        cached=sum(part.server is None for part in parts),
        copied=joined.copied,
        notes=notes,
    )
