"""Operation `transcode`: change the codecs, container and size of a video."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.media.encoding import codecs
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.budget import fit_to_target_size
from callsheet.media.transcoding.convert import TranscodeOutput, convert
from callsheet.media.transcoding.plan import TranscodePlan, plan_transcode
from callsheet.media.transcoding.spec import TranscodeSpec
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class TranscodeParams(TranscodeSpec):
    """Format of the output. Without any parameters, streams that already match are copied without loss."""


class RenditionResult(Model):
    """One size of the output."""

    name: str = Field(examples=["720p"])
    width: int
    height: int
    encoder: str | None = Field(examples=["libx264"], description="None if the video was stream-copied")
    video: Artifact | None = Field(description="None for hls, which consists of several files")


class TranscodeResult(Model):
    """The output files."""

    video: Artifact | None = Field(description="The file; with several renditions, the largest. None for hls")
    playlist: Artifact | None = Field(None, description="Master playlist of hls")
    renditions: list[RenditionResult] = Field(description="Largest first")
    files: list[Artifact] = Field(description="All output files. Playlists reference them by these names")
    copied: bool = Field(description="Whether the video was stream-copied, without a new encode")
    encoder: str | None = Field(None, examples=["libx264"], description="None if the video was stream-copied")
    size: int = Field(description="Total size of all files, in bytes")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation(
    "transcode",
    queue="transcode",
    timeout=timedelta(minutes=30),
    needs={"ffmpeg"},
    aliases=("transcode_task", "transcode_video_task"),
)
async def transcode(job: Context, params: TranscodeParams) -> TranscodeResult:
    """Convert a video to other codecs, containers and sizes."""
    source = await read_media(job, params.src, "src", "video", strict=params.strict)
    spec = params.resolved()
    plan = plan_transcode(spec, source)
    if not plan.copies_video:
        plan = plan_transcode(spec, source, await read_frame_index(job.ffmpeg, source))
    plan = fit_to_target_size(plan, fixed_audio=spec.audio_bitrate is not None)
    output = await convert(plan, job.ffmpeg, job.dir, progress_callback(job))
    files = await _publish(job, output.files, plan)
    return _result(plan, output, files)


async def _publish(job: Context, files: tuple[Path, ...], plan: TranscodePlan) -> list[Artifact]:
    artifacts: list[Artifact] = []
    for path in files:
        media_type = hls.media_type(path.name) if plan.format == "hls" else codecs.MEDIA_TYPES[plan.format]
        artifacts.append(await job.keep(path, name=path.name, media_type=media_type))
    return artifacts


def _result(plan: TranscodePlan, output: TranscodeOutput, files: list[Artifact]) -> TranscodeResult:
    is_hls = plan.format == "hls"
    encoders: list[str | None] = [encoder.name for encoder in output.encoders] or [None]
    renditions = [
        RenditionResult(
            name=rendition.name,
            width=rendition.width,
            height=rendition.height,
            encoder=encoder,
            video=None if is_hls else files[index],
        )
        for index, (rendition, encoder) in enumerate(zip(plan.renditions, encoders, strict=True))
    ]
    return TranscodeResult(
        video=None if is_hls else files[0],
        playlist=files[0] if is_hls else None,
        renditions=renditions,
        files=files,
        copied=plan.copies_video,
        encoder=encoders[0],
        size=sum(file.size for file in files),
        notes=list(output.notes),
    )
