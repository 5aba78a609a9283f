"""The `render-segments` operation: encodes some segments of a video for a `render` job."""

from datetime import timedelta

from pydantic import Field

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.model import Model
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.timeline.timeline import Timeline
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.progress import progress_callback
from callsheet.operations.staging import stage


class RenderSegmentsParams(Model):
    """Segments of a timeline to encode."""

    timeline: Timeline
    segments: list[int] = Field(min_length=1, description="Numbers of the segments, from 0")


class RenderSegmentsResult(Model):
    """Counts of the segments, which are now in the cache for the `render` job."""

    made: int = Field(description="Segments that were encoded")
    cached: int = Field(description="Segments that were already in the cache")


@operation(
    "render-segments",
    queue="render",
    priority=10,
    timeout=timedelta(hours=1),
    timeout_setting="render_timeout",
    needs={"ffmpeg"},
)
async def render_segments(job: Context, params: RenderSegmentsParams) -> RenderSegmentsResult:
    """Encode segments of a video. `render` adds such child jobs to use several machines."""
    staged = await stage(job, params.timeline)
    renderer = Renderer(staged.plan, staged.encoder, job.ffmpeg, job.dir, progress_callback(job), job.cache)
    unknown = [number for number in params.segments if not 0 <= number < len(renderer.segments)]
    if unknown:
        message = f"the video has {len(renderer.segments)} segments; there is no segment {unknown}"
        raise BadParams([Problem("segments", "out_of_range", message)])
    requested = set(params.segments)
    missing = [number for number in await renderer.fetch_cached_segments() if number in requested]
    await renderer.encode(missing)
    return RenderSegmentsResult(made=len(missing), cached=len(requested) - len(missing))
