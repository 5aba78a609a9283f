"""The `upscale-comfyui-part` operation: one part of a video for an `upscale` job, by a workflow on a ComfyUI server."""

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from callsheet.comfyui.outputs import OutputFile, prompt_outputs
from callsheet.comfyui.pool import ServerRequirements
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem, ProviderFailed
from callsheet.files.digest import sha256_of_file
from callsheet.files.media_types import guess_media_type
from callsheet.files.object_keys import safe_name
from callsheet.media.enhancement.plan import Listing
from callsheet.media.enhancement.requests import EncodeRequest, ExtractRequest, Part, VideoSource
from callsheet.media.enhancement.video_source import video_source
from callsheet.media.ffmpeg.inputs import MAX_PIXELS
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.comfyui.prepare import PreparedGraph
from callsheet.operations.comfyui.prompt_run import PromptResult, PromptRun
from callsheet.operations.comfyui.results import download_output, select_files
from callsheet.operations.enhancement import compute_settings, encode_options, list_frames, run_request
from callsheet.operations.media_inputs import read_media
from callsheet.operations.upscale_params import RemotePart, RemotePartParams, UpscaleParams
from callsheet.operations.upscale_workflow import prepare_upscale

_MAX_DEPTH = 8
"""Bits per color of what ComfyUI saves."""
_KEY_VERSION = 1
"""Part of every cache key. Increase it when equal params start to produce different output."""


@dataclass(frozen=True, slots=True)
class _Extracted:
    """A part of the source, as a file for the server."""

    path: Path
    times: list[int]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Received:
    """What the server made: images, each a frame, or one video."""

    kind: Literal["images", "video"]
    files: list[Path]
    size: tuple[int, int]


@operation(
    "upscale-comfyui-part",
    queue="comfyui",
    timeout=timedelta(hours=24),
    attempts=5,
    needs={"ffmpeg", "upscaling"},
    on_worker_lost="resume",
    blocking_validation=True,  # stored workflows are files
)
async def upscale_comfyui_part(job: Context, params: RemotePartParams) -> RemotePart:
    """Upscale one part of a video on a ComfyUI server. `upscale` adds such child jobs."""
    media = await read_media(job, params.video.src, "video.src", "video")
    source = video_source(media, "video.src")
    listing = await list_parts(job, params.video, source)
    part = _find_part(listing, params.part)
    prepared = await asyncio.to_thread(prepare_part, job, params.video, "video.")
    path, key = job.dir / f"{part.number}.mp4", await asyncio.to_thread(_key, job, params, source, part, prepared)
    if await job.cache.fetch(key, path):
        return RemotePart(video=await _keep(job, path), frames=listing.frames[part.number], server=None)
    extracted = await _extract(job, source, part)
    received, server = await _run(job, params.video, prepared, extracted)
    await _encode(job, params.video, media, listing, part, extracted, received)
    await job.cache.keep(key, path)
    return RemotePart(video=await _keep(job, path), frames=len(extracted.times), server=server)


async def list_parts(job: Context, params: UpscaleParams, source: VideoSource) -> Listing:
    """Return the frames of a video in parts. Raises as `enhance` does."""
    return await list_frames(job, source, None, compute_settings(job), params.part_frames)


def prepare_part(job: Context, params: UpscaleParams, prefix: str = "") -> PreparedGraph:
    """Set the inputs of the workflow, whose video is a placeholder. Raises BadParams with every problem.

    `prefix` is where the params are, for problems.
    """
    return prepare_upscale(params.workflow, params.inputs, params.src, params.model, job.settings, prefix)


def _find_part(listing: Listing, number: int) -> Part:
    if number >= len(listing.parts):
        message = f"the video has {len(listing.parts)} parts; there is no part {number}"
        raise BadParams([Problem("part", "out_of_range", message)])
    return listing.parts[number]


def _key(job: Context, params: RemotePartParams, source: VideoSource, part: Part, prepared: PreparedGraph) -> str:
    facts = asdict(source)
    del facts["file"]
    encode = params.video.model_dump(include={"scale", "codec", "quality", "crf", "preset"})
    made = [_KEY_VERSION, version("av"), sha256_of_file(Path(source.file.path)), facts, part.start, part.end]
    key = json.dumps([*made, prepared.graph, encode, job.settings.ffmpeg_video_preset])
    return f"enhanced/{hashlib.sha256(key.encode()).hexdigest()}"


async def _keep(job: Context, path: Path) -> Artifact:
    return await job.keep(path, name=path.name, media_type="video/mp4")


async def _extract(job: Context, source: VideoSource, part: Part) -> _Extracted:
    path = job.dir / "source.mp4"
    threads = compute_settings(job).threads
    depth = min(source.depth, _MAX_DEPTH)
    [facts] = await run_request(job, ExtractRequest(replace(source, depth=depth), part, threads, str(path)))
    return _Extracted(path, facts["times"], tuple(facts["size"]))


async def _run(
    job: Context, params: UpscaleParams, prepared: PreparedGraph, extracted: _Extracted
) -> tuple[_Received, str]:
    """Run the workflow with the part. Return its frames, and the name of the server."""
    files = tuple(
        replace(file, path=extracted.path) if file.param == "inputs.video" else file for file in prepared.files
    )
    requirements = ServerRequirements(
        tags=frozenset(params.tags) | prepared.tags, name=params.server, workflow=prepared.workflow
    )
    timeout = job.settings.comfyui_prompt_timeout
    seconds = None if timeout is None else timeout.total_seconds()
    async with PromptRun(job, replace(prepared, files=files), requirements, unique_names=True, timeout=seconds) as run:
        prompt = await run.run()
        return await _download(job, prompt, len(extracted.times)), prompt.server


async def _download(job: Context, prompt: PromptResult, expected: int) -> _Received:
    """Download the frames: the images of the last node that saved images, or else the last video.

    Raises ProviderFailed if there are none, or not as many images as frames.
    """
    kind, files = _choose_files(prompt)
    if kind == "images" and len(files) != expected:
        raise _wrong_count(len(files), expected)
    folder = job.dir / "received"
    folder.mkdir(exist_ok=True)
    paths = []
    for number, file in enumerate(files):
        paths.append(folder / f"{number:06}-{safe_name(file.filename)}")
        await download_output(job, prompt, file, paths[-1])
    first = (await probe_details(paths[0])).probe
    return _Received(kind, paths, (first.width or 0, first.height or 0))


def _choose_files(prompt: PromptResult) -> tuple[Literal["images", "video"], list[OutputFile]]:
    files = select_files(prompt_outputs(prompt.entry).files, previews=False)
    images = [file for file in files if guess_media_type(file.filename).startswith("image/")]
    videos = [file for file in files if guess_media_type(file.filename).startswith("video/")]
    if images:
        return "images", [file for file in images if file.node == images[-1].node]
    if not videos:
        made = ", ".join(file.filename for file in files) or "no file"
        raise ProviderFailed(f"The workflow made neither images nor a video: {made}.", code="no_output")
    return "video", videos[-1:]


def _wrong_count(received: int, expected: int) -> ProviderFailed:
    message = f"The workflow returned {received} frames for {expected}; it must return one for each."
    return ProviderFailed(message, code="wrong_frame_count")


async def _encode(
    job: Context,
    params: UpscaleParams,
    media: MediaInfo,
    listing: Listing,
    part: Part,
    extracted: _Extracted,
    received: _Received,
) -> None:
    """Encode the frames as a part. Raises ProviderFailed for another number or size than expected."""
    size = _output_size(job, params, extracted.size, received.size)
    rate = listing.rate or (media.rate.numerator, media.rate.denominator)
    request = EncodeRequest(
        source=video_source(media),
        part=part,
        files=[str(path) for path in received.files],
        kind=received.kind,
        times=extracted.times,
        time_base=listing.time_base,
        received_size=received.size,
        size=size,
        threads=compute_settings(job).threads,
        encode=encode_options(job, params, size, _MAX_DEPTH, rate),
        folder=str(job.dir),
    )
    messages = await run_request(job, request)
    count = messages[-1]["received"]
    if count != len(extracted.times):
        raise _wrong_count(count, len(extracted.times))


def _output_size(
    job: Context, params: UpscaleParams, before: tuple[int, int], after: tuple[int, int]
) -> tuple[int, int]:
    """Return the even width and height of the output."""
    limit = min(MAX_PIXELS, job.settings.media_max_pixels)
    shown = f"{after[0]}x{after[1]}"
    if after[0] * after[1] > limit:
        raise ProviderFailed(f"The frames from the workflow are {shown}; the limit is {limit:,} pixels.")
    wanted = after
    if params.scale is not None:
        factor = Fraction(params.scale)
        wanted = round(before[0] * factor), round(before[1] * factor)
    if wanted[0] > after[0] or wanted[1] > after[1]:
        message = f"the workflow makes {shown} of {before[0]}x{before[1]}; {params.scale:g} times as large is more"
        raise BadParams([Problem("video.scale", "out_of_range", message)])
    return max(2, wanted[0] - wanted[0] % 2), max(2, wanted[1] - wanted[1] % 2)
