"""The `interpolate` operation: a video gets more frames per second by a neural network."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import gcd
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.media.enhancement.plan import EnhancementPlan, Listing, plan_enhancement
from callsheet.media.enhancement.requests import InterpolateRequest, ModelFiles, Ratio
from callsheet.media.enhancement.video_source import video_source
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.values import parse_rate
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.enhancement import (
    EnhancementResult,
    compute_settings,
    encode_options,
    enhance_video,
    list_frames,
    output_format,
)
from callsheet.operations.enhancement_params import EnhancementParams, check_known_model
from callsheet.operations.media_inputs import read_media

_MAX_TIME_BASE = 2**31 - 1
"""MP4 stores the time scale in 32 bits."""


class InterpolateSpec(EnhancementParams):
    """What to interpolate, and how."""

    factor: Literal[2, 3, 4, 8] | None = Field(
        None, description="Frames of the output per frame of the source. Default: 2, if fps is not set"
    )
    fps: float | str | None = Field(
        None, description="Frames per second of the output, instead of factor; also as `60000/1001`", examples=[60]
    )

    @field_validator("fps")
    @classmethod
    def _check_fps(cls, value: float | str | None) -> float | str | None:
        if value is not None:
            parse_rate(value)
        return value

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.factor is not None and self.fps is not None:
            raise ValueError("give factor or fps, not both")
        check_known_model(self, info, "interpolate_model")
        return self


class InterpolateParams(InterpolateSpec):
    """A video, and how many frames it gets."""

    spread: bool = Field(True, description="Make parts of a long video on other machines, if there are any")


class InterpolateResult(EnhancementResult):
    """The smoother video."""

    video: Artifact
    source_frames: int = Field(description="Number of frames of the source")


@operation(
    "interpolate",
    queue="gpu",
    timeout=timedelta(hours=24),
    needs={"ffmpeg", "interpolation"},
    aliases=("interpolate_video",),
    blocking_validation=True,
)
async def interpolate(job: Context, params: InterpolateParams) -> InterpolateResult:
    """Add frames between the frames of a video by a neural network. Its length and its audio stay."""
    media = await read_media(job, params.src, "src", "video")
    model = params.find_model(job.settings, job.settings.interpolate_model)
    format = output_format(params, media)
    plan = await plan_interpolation(job, params, media, model)
    made = await enhance_video(job, params, media, plan, format, "interpolate-parts" if params.spread else "")
    made.notes += _size_notes(media)
    return InterpolateResult(**dict(made), source_frames=sum(plan.listing.frames))


async def plan_interpolation(
    job: Context, params: InterpolateSpec, media: MediaInfo, model: ModelFiles
) -> EnhancementPlan:
    """Return the plan of a video. Raises BadParams for a source or a model that is not supported."""
    source, compute = video_source(media), compute_settings(job)
    listing = await list_frames(job, source, model, compute, params.part_frames)
    if listing.inputs != 3:
        message = f"'{model.name}' has {listing.inputs} inputs; a model that interpolates has two images, and the time"
        raise BadParams([Problem("model", "unsupported", message)])
    factor = None if params.fps is not None else params.factor or 2
    fps = parse_rate(params.fps) if params.fps is not None else None
    size = media.probe.width or 0, media.probe.height or 0
    depth = 8 if params.codec == "h264" else source.depth
    rate = fps or Fraction(*(listing.rate or (media.rate.numerator, media.rate.denominator))) * (factor or 1)
    request = InterpolateRequest(
        source=replace(source, depth=depth),
        model=model,
        compute=compute,
        time_base=listing.time_base,
        output_time_base=_output_time_base(listing, factor, fps),
        parts=list(listing.parts),
        first=listing.parts[0].start,
        end=listing.end,
        factor=factor,
        rate=(fps.numerator, fps.denominator) if fps else None,
        encode=encode_options(job, params, size, depth, (rate.numerator, rate.denominator)),
        folder=str(job.dir),
    )
    return await plan_enhancement(request, listing)


def _output_time_base(listing: Listing, factor: int | None, fps: Fraction | None) -> Ratio:
    """Return a time base in which the frames of the source and of the output have exact times, if there is one."""
    unit = Fraction(*listing.time_base)
    if factor is not None:
        exact = unit / factor
    else:
        assert fps is not None  # noqa: S101 - there is a factor or a rate
        exact = Fraction(
            gcd(unit.numerator * fps.numerator, fps.denominator * unit.denominator), unit.denominator * fps.numerator
        )
    if exact.denominator > _MAX_TIME_BASE:  # such times are rounded to microseconds
        return 1, 1_000_000
    return exact.numerator, exact.denominator


def _size_notes(media: MediaInfo) -> list[str]:
    width, height = media.probe.width or 0, media.probe.height or 0
    if width % 2 or height % 2:
        return [f"{width}x{height} made even: {width - width % 2}x{height - height % 2}"]
    return []
