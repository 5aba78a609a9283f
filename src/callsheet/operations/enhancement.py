"""The parts of an enhanced video: made here, in the cache, or by child jobs on other machines; then joined."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, JobError, Problem
from callsheet.domain.media_source import SourceKind
from callsheet.domain.model import Model
from callsheet.media.encoding import codecs
from callsheet.media.encoding.rate_control import crf_of
from callsheet.media.enhancement.container_choice import EnhancedFormat, choose_format, unsupported_streams
from callsheet.media.enhancement.plan import EnhancementPlan, Listing
from callsheet.media.enhancement.process import Message, enhance, runtime_version
from callsheet.media.enhancement.requests import (
    Compute,
    EncodeOptions,
    JoinRequest,
    ListingRequest,
    ModelFiles,
    Part,
    Ratio,
    Request,
    VideoSource,
)
from callsheet.media.enhancement.video_source import source_notes
from callsheet.media.ffmpeg.runner import usable_processors
from callsheet.media.probing.probe import MediaInfo
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs
from callsheet.operations.enhancement_params import EnhancementParams

_MAX_PARTS = 500
_MAX_H264_SIDE = 4096
"""Pixels. Common decoders of H.264 stop there."""
_MIN_SPREAD_PARTS = 2
_JOBS_PER_HOST = 2
"""Child jobs per machine. More than one, so that a fast machine can do more than its share."""
_JOIN_SHARE = 0.97
"""The part of the progress that is the making of the parts."""


@dataclass(frozen=True, slots=True)
class JoinedVideo:
    """The finished video."""

    video: Artifact
    frames: int
    copied: int
    """Audio and subtitle streams that were copied."""
    notes: tuple[str, ...]


class EnhancementResult(Model):
    """The finished video, and how it was made."""

    video: Artifact | None
    model: str
    device: str | None = Field(
        description="What ran the model: `cpu`, `cuda`, `gpu 0`, or names of servers. None if all was in the cache"
    )
    frames: int = Field(description="Number of frames of the output")
    parts: int = Field(description="Number of parts of the video; each one is made at most once")
    cached: int = Field(description="Parts that were in the cache")
    copied: int = Field(description="Audio and subtitle streams, copied bit for bit")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with reasons")


class PartsParams(Model):
    """Parts of a video to make."""

    parts: list[int] = Field(min_length=1, max_length=1000, description="Numbers of the parts, from 0")


class MadeParts(Model):
    """Counts of the parts, which are now in the cache for the job of the whole video."""

    made: int = Field(description="Parts that were made")
    cached: int = Field(description="Parts that were already in the cache")
    device: str | None = Field(description="What ran the model; None if nothing was made")


def compute_settings(job: Context, tile: int | None = None) -> Compute:
    """Return how models run on this worker."""
    threads = job.settings.model_threads or usable_processors()
    compute = Compute(threads, job.settings.model_device)
    return compute if tile is None else Compute(threads, job.settings.model_device, tile)


async def run_request(job: Context, request: Request, on_message: Any = None) -> list[Message]:
    """Run a request in the working folder of the job. Raises as `enhance` does."""
    return await enhance(
        request, job.dir, sandbox=job.settings.ffmpeg_sandbox, limits=job.ffmpeg.limits, on_message=on_message
    )


async def list_frames(
    job: Context, source: VideoSource, model: ModelFiles | None, compute: Compute, part_frames: int
) -> Listing:
    """Return the frames of a video in parts, and what the model does, if there is one. Raises as `enhance` does."""
    if model is not None:
        runtime_version(model.runtime)  # raises if it is not installed
    messages = await run_request(job, ListingRequest(source, model, compute, part_frames, _MAX_PARTS))
    rows = [message["part"] for message in messages if "part" in message]
    facts = messages[-1]
    return Listing(
        parts=tuple(Part(number, start, end) for number, start, end, _ in rows),
        frames=tuple(frames for *_, frames in rows),
        time_base=_ratio(facts["time_base"]),
        rate=_ratio(facts["rate"]) if facts["rate"] else None,
        end=facts["end"],
        inputs=facts["inputs"],
        scale=facts["scale"],
    )


def _ratio(pair: Sequence[int]) -> Ratio:
    return pair[0], pair[1]


def encode_options(
    job: Context, params: EnhancementParams, size: tuple[int, int], depth: int, rate: Ratio
) -> EncodeOptions:
    """Return how parts are encoded. `size` is the width and height of the output."""
    codec = params.codec or ("h265" if depth > 8 or max(size) > _MAX_H264_SIDE else "h264")
    crf = params.crf if params.crf is not None else crf_of(codec, params.quality or "best")
    return EncodeOptions(
        "libx264" if codec == "h264" else "libx265",
        crf,
        params.preset or job.settings.ffmpeg_video_preset,
        rate,
        usable_processors(),
    )


def output_format(params: EnhancementParams, media: MediaInfo) -> EnhancedFormat:
    """Return the container. Raises BadParams if it cannot hold the audio and the subtitles of the source."""
    if params.format is None:
        return choose_format(media)
    if problem := unsupported_streams(params.format, media):
        names = ", ".join(f"{each.type} stream {each.index} ({each.codec})" for each in problem)
        message = f"{params.format} cannot hold a copy of the {names}; leave format out, or use mkv"
        raise BadParams([Problem("format", "codec_does_not_fit", message)])
    return params.format


async def enhance_video(
    job: Context,
    params: EnhancementParams,
    media: MediaInfo,
    plan: EnhancementPlan,
    format: EnhancedFormat,
    spread_by: str,
) -> EnhancementResult:
    """Make the parts of a video that are not in the cache, and join all.

    `spread_by` is the operation of the child jobs that make parts on other machines; empty: all are made here. Raises
    RunChildJobs for them.
    """
    missing = await fetch_cached(job, plan)
    if spread_by:
        await spread_parts(job, params, missing, spread_by)
    device = await make_parts(job, plan, missing)
    joined = await join_video(job, media, plan.join_request, format)
    return EnhancementResult(
        video=joined.video,
        model=plan.request.model.name,
        device=device,
        frames=joined.frames,
        parts=len(plan.keys),
        cached=len(plan.keys) - len(missing),
        copied=joined.copied,
        notes=[*source_notes(media), *joined.notes],
    )


async def fetch_cached(job: Context, plan: EnhancementPlan) -> list[int]:
    """Fetch the parts that are in the cache, and return the numbers of the others."""
    return [
        number
        for number, key in enumerate(plan.keys)
        if not plan.path_of(number).exists() and not await job.cache.fetch(key, plan.path_of(number))
    ]


async def spread_parts(job: Context, params: EnhancementParams, missing: list[int], operation: str) -> None:
    """Raise RunChildJobs for the missing parts if there are other machines. Local files exist on this machine only."""
    has_cache = job.settings.cache_max_age.total_seconds() > 0
    is_local = params.src.kind is SourceKind.PATH
    if not has_cache or is_local or job.children_done or len(missing) < _MIN_SPREAD_PARTS:
        return
    hosts = await job.worker_host_count()
    if hosts < 2:
        return
    count = min(len(missing), hosts * _JOBS_PER_HOST)
    fields = params.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"spread", "engine"})
    raise RunChildJobs(
        [ChildJob(f"part-{n + 1}", operation, {"video": fields, "parts": missing[n::count]}) for n in range(count)]
    )


async def make_parts(job: Context, plan: EnhancementPlan, numbers: list[int], share: float = _JOIN_SHARE) -> str | None:
    """Make parts, and keep each one in the cache as soon as it is finished. Return the device that made them.

    A run that is killed repeats only the unfinished part. Raises as `enhance` does.
    """
    if not numbers:
        return None
    expected = sum(plan.listing.frames[number] for number in numbers) * _frames_per_frame(plan)
    device: str | None = None

    async def read(message: Message) -> None:
        nonlocal device
        device = message.get("device", device)
        if "part" in message:
            number, frames = message["part"]
            if frames:
                await job.cache.keep(plan.keys[number], plan.path_of(number))
        elif "done" in message:
            done = message["done"]
            job.progress(share * min(1.0, done / max(1.0, expected)), f"{done:,} of about {round(expected):,} frames")

    await run_request(job, plan.request_for(numbers), read)
    return device


async def make_missing_parts(job: Context, plan: EnhancementPlan, numbers: list[int]) -> MadeParts:
    """Make those of the parts that are not in the cache. Raises BadParams for a number that there is not."""
    unknown = [number for number in numbers if not 0 <= number < len(plan.keys)]
    if unknown:
        message = f"the video has {len(plan.keys)} parts; there is no part {unknown}"
        raise BadParams([Problem("parts", "out_of_range", message)])
    requested = set(numbers)
    missing = [number for number in await fetch_cached(job, plan) if number in requested]
    device = await make_parts(job, plan, missing, share=0.99)
    return MadeParts(made=len(missing), cached=len(requested) - len(missing), device=device)


def _frames_per_frame(plan: EnhancementPlan) -> float:
    factor, rate = getattr(plan.request, "factor", None), getattr(plan.request, "rate", None)
    if factor is not None:
        return float(factor)
    frames = sum(plan.listing.frames)
    return rate[0] / rate[1] * plan.listing.seconds / frames if rate is not None and frames else 1.0


async def join_video(
    job: Context, media: MediaInfo, request: Callable[[Path, str, dict[str, str]], JoinRequest], format: EnhancedFormat
) -> JoinedVideo:
    """Join the parts with the other streams of the source, check the result, and store it.

    `request` gets the path of the output, its format and its tags.

    Raises JobError if a frame is missing.
    """
    output = job.dir / f"joined.{format}"
    tags = {key: value for key, value in media.tags.items() if key != "encoder"}
    [facts] = await run_request(job, request(output, format, tags))
    if not facts["frames"]:
        raise JobError(f"'{media.path.name}': none of its frames can be decoded")
    video = await job.keep(output, name=f"video.{format}", media_type=codecs.MEDIA_TYPES[format])
    notes = tuple(f"{name} was not copied; {format} cannot hold it" for name in facts["left_out"])
    return JoinedVideo(video, facts["frames"], facts["copied"], notes)
