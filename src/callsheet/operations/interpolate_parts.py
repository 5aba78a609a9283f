"""The `interpolate-parts` operation: makes some parts of a video for an `interpolate` job."""

from datetime import timedelta

from callsheet.operation_api.contract import Context, operation
from callsheet.operations.enhancement import MadeParts, PartsParams, make_missing_parts
from callsheet.operations.interpolate import InterpolateSpec, plan_interpolation
from callsheet.operations.media_inputs import read_media


class InterpolatePartsParams(PartsParams):
    """Parts of a video to make."""

    video: InterpolateSpec


@operation(
    "interpolate-parts",
    queue="gpu",
    timeout=timedelta(hours=24),
    needs={"ffmpeg", "interpolation"},
    blocking_validation=True,
)
async def interpolate_parts(job: Context, params: InterpolatePartsParams) -> MadeParts:
    """Interpolate parts of a video. `interpolate` adds such child jobs to use several machines."""
    media = await read_media(job, params.video.src, "video.src", "video")
    model = params.video.find_model(job.settings, job.settings.interpolate_model)
    return await make_missing_parts(job, await plan_interpolation(job, params.video, media, model), params.parts)
