"""Render segments: a part of a film's picture is made for the job that makes the film."""

from datetime import timedelta

from pydantic import Field

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.model import Model
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.timeline.timeline import Timeline
from callsheet.operation.contract import Context, operation
from callsheet.operations.progress import progress_callback
from callsheet.operations.staging import stage


class RenderSegmentsParams(Model):
    """Which part of which film."""

    timeline: Timeline
    segments: list[int] = Field(min_length=1, description="Numbers of the pieces, from 0")


class RenderSegmentsResult(Model):
    """What became of them; they lie in the cache, where the film finds them."""

    made: int = Field(description="Pieces that were encoded")
    cached: int = Field(description="Pieces that were there already")


@operation("render-segments", queue="render", priority=10, timeout=timedelta(hours=1), needs={"ffmpeg"})
async def render_segments(job: Context, params: RenderSegmentsParams) -> RenderSegmentsResult:
    """Make a part of a film's picture; a render asks for this by itself, to have several machines at work."""
    staged = await stage(job, params.timeline)
    production = Renderer(staged.film, staged.encoder, job.ffmpeg, job.dir, progress_callback(job), job.cache)
    beyond = [number for number in params.segments if not 0 <= number < len(production.segments)]
    if beyond:
        message = f"the film has {len(production.segments)} segments; there is no {beyond}"
        raise BadParams([Problem("segments", "out_of_range", message)])
    wanted = set(params.segments)
    missing = [number for number in await production.look_up() if number in wanted]
    await production.encode(missing)
    return RenderSegmentsResult(made=len(missing), cached=len(wanted) - len(missing))
