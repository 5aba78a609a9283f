"""The `render` operation: scenes, overlays, texts and audio become one video."""

from datetime import timedelta

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import SourceKind
from callsheet.domain.model import Model
from callsheet.media.encoding import codecs
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.software_fallback import software_fallback
from callsheet.media.rendering.render_plan import RenderedVideo
from callsheet.media.rendering.renderer import HardwareEncoderFailed, Renderer
from callsheet.media.rendering.segments import group_segments
from callsheet.media.timeline.timeline import Timeline
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs, operation
from callsheet.operations.progress import progress_callback
from callsheet.operations.staging import StagedRender, stage

_MIN_SPREAD_SECONDS = 30.0
"""Seconds of video to encode below which child jobs on other machines hardly save time."""
_JOBS_PER_HOST = 2
"""Child jobs per machine. More than one, so that a fast machine can do more than its share."""


class RenderParams(Timeline):
    """A timeline to render."""

    spread: bool = Field(True, description="Encode segments of a long video on other machines, if there are any")


class RenderResult(Model):
    """The rendered video."""

    video: Artifact
    duration: float = Field(description="Seconds")
    encoder: str = Field(examples=["libx264"])
    segments: int = Field(description="Number of segments of the video; each one is encoded at most once")
    cached: int = Field(description="Segments that were in the cache and not encoded again")
    copied: int = Field(description="Segments that were stream-copied from their source without an encode")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with reasons")


@operation(
    "render",
    queue="render",
    priority=10,
    timeout=timedelta(hours=1),
    timeout_setting="render_timeout",
    needs={"ffmpeg"},
    aliases=("render_video_task", "render_video"),
)
async def render(job: Context, params: RenderParams) -> RenderResult:
    """Render scenes with transitions, overlays, titles, captions and audio to one video."""
    staged = await stage(job, params)
    renderer = _renderer(job, staged, staged.encoder)
    missing = await renderer.fetch_cached_segments()
    await _spread(job, params, renderer, missing)
    rendered, encoder, notes = await _render(job, staged, renderer)
    format = params.output.format
    video = await job.keep(rendered.path, name=f"video.{format}", media_type=codecs.MEDIA_TYPES[format])
    segments = len(renderer.segments)
    return RenderResult(
        video=video,
        duration=staged.plan.schedule.seconds,
        encoder=encoder.name,
        segments=segments,
        cached=segments - len(missing),
        copied=len(staged.plan.copied_shots),
        notes=[*staged.notes, *notes, *rendered.notes],
    )


def _renderer(job: Context, staged: StagedRender, encoder: Encoder) -> Renderer:
    return Renderer(staged.plan, encoder, job.ffmpeg, job.dir, progress_callback(job), job.cache)


async def _spread(job: Context, params: RenderParams, renderer: Renderer, missing: list[int]) -> None:
    """Raise RunChildJobs for the missing segments if there are other machines and enough to encode.

    Child jobs hand their segments over through the cache. Local files exist on this machine only.
    """
    has_local_files = any(source.kind is SourceKind.PATH for _, source in params.media())
    has_cache = job.settings.cache_max_age.total_seconds() > 0
    if not (params.spread and has_cache) or job.children_done or has_local_files:
        return
    frames = sum(renderer.segments[number].frames for number in missing)
    is_long = frames / renderer.plan.schedule.rate >= _MIN_SPREAD_SECONDS
    hosts = await job.worker_host_count() if is_long else 1
    if hosts < 2:
        return
    runs = group_segments(missing, renderer.segments)
    count = min(len(runs), hosts * _JOBS_PER_HOST)
    timeline = params.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise RunChildJobs(
        [
            ChildJob(
                f"part-{n + 1}",
                "render-segments",
                {"timeline": timeline, "segments": [number for run in runs[n::count] for number in run]},
            )
            for n in range(count)
        ]
    )


async def _render(job: Context, staged: StagedRender, renderer: Renderer) -> tuple[RenderedVideo, Encoder, list[str]]:
    """Render, and retry with a software encoder if the hardware encoder fails."""
    try:
        return await renderer.render(), staged.encoder, []
    except HardwareEncoderFailed as error:
        encoder = await software_fallback(job.ffmpeg, staged.encoder, error.message)
        rendered = await _renderer(job, staged, encoder).render()
        return rendered, encoder, [encoder.note] if encoder.note else []
