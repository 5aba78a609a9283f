"""The `upscale-parts` operation: makes some parts of a video for an `upscale` job."""

from datetime import timedelta

from callsheet.operation_api.contract import Context, operation
from callsheet.operations.enhancement import MadeParts, PartsParams, make_missing_parts
from callsheet.operations.media_inputs import read_media
from callsheet.operations.upscale import plan_upscale
from callsheet.operations.upscale_params import UpscaleSpec


class UpscalePartsParams(PartsParams):
    """Parts of a video to make."""

    video: UpscaleSpec


@operation(
    "upscale-parts",
    queue="gpu",
    timeout=timedelta(hours=24),
    needs={"ffmpeg", "upscaling"},
    blocking_validation=True,
)
async def upscale_parts(job: Context, params: UpscalePartsParams) -> MadeParts:
    """Upscale parts of a video. `upscale` adds such child jobs to use several machines."""
    media = await read_media(job, params.video.src, "video.src", "video")
    model = params.video.find_model(job.settings, job.settings.upscale_model)
    return await make_missing_parts(job, await plan_upscale(job, params.video, media, model), params.parts)
