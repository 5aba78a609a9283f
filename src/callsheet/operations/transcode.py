"""Transcode: a video in other codecs, containers and sizes."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.media.encoding import codecs
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.budget import fit_to_target_size
from callsheet.media.transcoding.convert import Converted, convert
from callsheet.media.transcoding.plan import TranscodePlan, plan_transcode
from callsheet.media.transcoding.spec import TranscodeSpec
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class TranscodeParams(TranscodeSpec):
    """What the video is to become. With nothing asked for, what fits already is passed on without loss."""


class MadeRendition(Model):
    """One of the sizes that a video was made in."""

    name: str = Field(examples=["720p"])
    width: int
    height: int
    encoder: str | None = Field(examples=["libx264"], description="None where the picture was passed on")
    video: Artifact | None = Field(description="None in hls, where it is several files")


class TranscodeResult(Model):
    """The video."""

    video: Artifact | None = Field(description="The file; of several sizes the largest. None for hls")
    playlist: Artifact | None = Field(None, description="Of hls: the one that leads to all others")
    renditions: list[MadeRendition] = Field(description="The largest first")
    files: list[Artifact] = Field(description="Everything that was made; the names in playlists are theirs")
    copied: bool = Field(description="Whether the picture was passed on as it was, without a new encode")
    encoder: str | None = Field(None, examples=["libx264"], description="None where the picture was passed on")
    size: int = Field(description="Bytes of all files")
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than one may expect, and why")


@operation(
    "transcode",
    queue="transcode",
    timeout=timedelta(minutes=30),
    needs={"ffmpeg"},
    aliases=("transcode_task", "transcode_video_task"),
)
async def transcode(job: Context, params: TranscodeParams) -> TranscodeResult:
    """Turn a video into other codecs, containers and sizes."""
    source = await read_media(job, params.src, "src", "video")
    order = params.settled()
    plan = fit_to_target_size(plan_transcode(order, source), fixed_sound=order.audio_bitrate is not None)
    made = await convert(plan, job.ffmpeg, job.dir, progress_callback(job))
    files = await _kept(job, made.files, plan)
    return _result(plan, made, files)


async def _kept(job: Context, files: tuple[Path, ...], plan: TranscodePlan) -> list[Artifact]:
    kept: list[Artifact] = []
    for path in files:
        kind = hls.media_type(path.name) if plan.format == "hls" else codecs.MEDIA_TYPES[plan.format]
        kept.append(await job.keep(path, name=path.name, media_type=kind))
    return kept


def _result(plan: TranscodePlan, made: Converted, files: list[Artifact]) -> TranscodeResult:
    streamed = plan.format == "hls"
    encoders: list[str | None] = [encoder.name for encoder in made.encoders] or [None]
    renditions = [
        MadeRendition(
            name=picture.name,
            width=picture.width,
            height=picture.height,
            encoder=encoder,
            video=None if streamed else files[number],
        )
        for number, (picture, encoder) in enumerate(zip(plan.renditions, encoders, strict=True))
    ]
    return TranscodeResult(
        video=None if streamed else files[0],
        playlist=files[0] if streamed else None,
        renditions=renditions,
        files=files,
        copied=plan.copies_picture,
        encoder=encoders[0],
        size=sum(file.size for file in files),
        notes=list(made.notes),
    )
