"""Render: scenes, overlays, texts and sound become one film."""

from datetime import timedelta

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import SourceKind
from callsheet.domain.model import Model
from callsheet.media.encoding import codecs, encoders
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.rendering.render_plan import RenderedFilm
from callsheet.media.rendering.renderer import EncoderFailed, Renderer
from callsheet.media.timeline.timeline import Timeline
from callsheet.operation.contract import ChildJob, Context, RunChildJobs, operation
from callsheet.operations.progress import progress_callback
from callsheet.operations.staging import StagedRender, stage

_WORTH_SPREADING = 30.0
"""Seconds of film still to be encoded, below which other machines would hardly be quicker."""
_JOBS_A_HOST = 2
"""So many for each machine, so that a quick one can take more than its share."""


class RenderParams(Timeline):
    """A film to make."""

    spread: bool = Field(True, description="Let other machines encode a part of it, where there are any")


class RenderResult(Model):
    """The film."""

    video: Artifact
    duration: float = Field(description="Seconds")
    encoder: str = Field(examples=["libx264"])
    segments: int = Field(description="Pieces that the picture was made of, each encoded once at most")
    cached: int = Field(description="Pieces that were known from before, and not encoded again")
    copied: int = Field(description="Pieces that were taken over from their files as they are, without an encode")
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than asked, and why")


@operation(
    "render",
    queue="render",
    priority=10,
    timeout=timedelta(hours=1),
    needs={"ffmpeg"},
    aliases=("render_video_task", "render_video"),
)
async def render(job: Context, params: RenderParams) -> RenderResult:
    """Make one film of scenes, with transitions, overlays, titles, captions and sound."""
    staged = await stage(job, params)
    production = _production(job, staged, staged.encoder)
    missing = await production.look_up()
    await _spread(job, params, production, missing)
    made, encoder, notes = await _made(job, staged, production)
    format = params.output.format
    video = await job.keep(made.path, name=f"video.{format}", media_type=codecs.MEDIA_TYPES[format])
    pieces = len(production.segments)
    return RenderResult(
        video=video,
        duration=staged.film.plan.seconds,
        encoder=encoder.name,
        segments=pieces,
        cached=pieces - len(missing),
        copied=len(staged.film.copied),
        notes=[*staged.notes, *notes, *made.notes],
    )


def _production(job: Context, staged: StagedRender, encoder: Encoder) -> Renderer:
    return Renderer(staged.film, encoder, job.ffmpeg, job.dir, progress_callback(job), job.cache)


async def _spread(job: Context, params: RenderParams, production: Renderer, missing: list[int]) -> None:
    """Have other machines make the missing segments, if there are other machines and it is worth their while."""
    local = any(source.kind is SourceKind.PATH for _, source in params.media())
    shared = job.settings.cache_max_age.total_seconds() > 0
    if not (params.spread and shared) or job.children_done or local:
        return
    frames = sum(production.segments[number].frames for number in missing)
    hosts = await job.worker_host_count() if frames / production.film.plan.rate >= _WORTH_SPREADING else 1
    if hosts < 2:
        return
    runs = production.encode_together(missing)
    shares = min(len(runs), hosts * _JOBS_A_HOST)
    timeline = params.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise RunChildJobs(
        [
            ChildJob(
                f"part-{n + 1}",
                "render-segments",
                {"timeline": timeline, "segments": [number for run in runs[n::shares] for number in run]},
            )
            for n in range(shares)
        ]
    )


async def _made(job: Context, staged: StagedRender, production: Renderer) -> tuple[RenderedFilm, Encoder, list[str]]:
    try:
        return await production.complete(), staged.encoder, []
    except EncoderFailed as error:
        spare = await encoders.software_fallback(job.ffmpeg, staged.encoder, error.message)
        made = await _production(job, staged, spare).complete()
        return made, spare, [spare.note] if spare.note else []
