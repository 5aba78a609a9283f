"""The `upscale` operation: a video or image becomes larger by a neural network."""

from dataclasses import replace
from datetime import timedelta

from callsheet.domain.errors import BadParams, Problem
from callsheet.media.enhancement.plan import EnhancementPlan, plan_enhancement
from callsheet.media.enhancement.process import runtime_version
from callsheet.media.enhancement.requests import ImageRequest, ModelFiles, UpscaleRequest
from callsheet.media.enhancement.video_source import source_file, video_source
from callsheet.media.ffmpeg.inputs import MAX_PIXELS
from callsheet.media.probing.probe import MediaInfo
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.enhancement import (
    compute_settings,
    encode_options,
    enhance_video,
    list_frames,
    output_format,
    run_request,
)
from callsheet.operations.media_inputs import read_media
from callsheet.operations.upscale_by_comfyui import upscale_on_comfyui
from callsheet.operations.upscale_params import UpscaleParams, UpscaleResult, UpscaleSpec


@operation(
    "upscale",
    queue="gpu",
    timeout=timedelta(hours=24),
    needs={"ffmpeg", "upscaling"},
    aliases=("upscale_video",),
    blocking_validation=True,
)
async def upscale(job: Context, params: UpscaleParams) -> UpscaleResult:
    """Upscale a video or an image by a neural network. All other streams are copied."""
    media = await read_media(job, params.src, "src", "image")
    if params.engine == "comfyui":
        return await upscale_on_comfyui(job, params, media)
    model = params.find_model(job.settings, job.settings.upscale_model)
    if media.still:
        return await _upscale_image(job, params, media, model)
    format = output_format(params, media)
    plan = await plan_upscale(job, params, media, model)
    made = await enhance_video(job, params, media, plan, format, "upscale-parts" if params.spread else "")
    assert made.video is not None  # noqa: S101 - it is no image
    return UpscaleResult(**dict(made), file=made.video, image=None)


async def plan_upscale(job: Context, params: UpscaleSpec, media: MediaInfo, model: ModelFiles) -> EnhancementPlan:
    """Return the plan of a video. Raises BadParams for a source or a scale that is not supported."""
    source, compute = video_source(media), compute_settings(job, params.tile)
    listing = await list_frames(job, source, model, compute, params.part_frames)
    if listing.scale is None:
        raise BadParams(
            [Problem("model", "unsupported", f"'{model.name}' has {listing.inputs} inputs; it cannot upscale")]
        )
    if params.scale is not None and params.scale > listing.scale:
        message = f"'{model.name}' enlarges {listing.scale} times; {params.scale:g} is more"
        raise BadParams([Problem("scale", "out_of_range", message)])
    scale = params.scale or listing.scale
    size = round((media.probe.width or 0) * scale), round((media.probe.height or 0) * scale)
    if size[0] * size[1] > min(MAX_PIXELS, job.settings.media_max_pixels):
        message = f"the frames would be {size[0]}x{size[1]}; the limit is {job.settings.media_max_pixels:,} pixels"
        raise BadParams([Problem("scale", "too_large", message)])
    depth = 8 if params.codec == "h264" else source.depth
    rate = listing.rate or (media.rate.numerator, media.rate.denominator)
    request = UpscaleRequest(
        source=replace(source, depth=depth),
        model=model,
        compute=compute,
        time_base=listing.time_base,
        parts=list(listing.parts),
        scale=None if scale == listing.scale else scale,
        encode=encode_options(job, params, size, depth, rate),
        folder=str(job.dir),
        faces=params.find_face_models(job.settings),
    )
    return await plan_enhancement(request, listing)


async def _upscale_image(job: Context, params: UpscaleParams, media: MediaInfo, model: ModelFiles) -> UpscaleResult:
    runtime_version(model.runtime)
    output = job.dir / "image.png"
    compute = compute_settings(job, params.tile)
    request = ImageRequest(
        source_file(media),
        model,
        compute,
        params.scale,
        str(output),
        min(MAX_PIXELS, job.settings.media_max_pixels),
        params.find_face_models(job.settings),
    )
    messages = await run_request(job, request)
    image = await job.keep(output)
    return UpscaleResult(
        file=image,
        video=None,
        image=image,
        model=model.name,
        device=messages[0]["device"],
        frames=1,
        parts=1,
        cached=0,
        copied=0,
        notes=[],
    )
