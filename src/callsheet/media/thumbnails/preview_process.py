"""Client of the preview scripts, which extract and draw images in child processes."""

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from callsheet.domain.errors import DiskFull, FFmpegFailed
from callsheet.media.ffmpeg.inputs import MAX_PIXELS, MEDIA_FORMATS, demuxer_options, forced_demuxer
from callsheet.media.ffmpeg.runner import usable_processors
from callsheet.media.ffmpeg.sandbox import Sandbox, script_access
from callsheet.media.fonts import FONTS
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.thumbnails.preview_requests import (
    ContactSheetJob,
    LabeledImage,
    ProgressCallback,
    SourceFile,
    SpriteResult,
    StillsJob,
    StillsRequest,
    StillsResult,
    WaveformJob,
    WaveformRequest,
)
from callsheet.media.thumbnails.storyboard import Grid
from callsheet.media.thumbnails.timecode import timecode
from callsheet.processes.child import ProcessLimits
from callsheet.processes.json_script import run_script
from callsheet.processes.landlock import FileAccess

_THUMBNAILS_SCRIPT = Path(__file__).with_name("thumbnails.py")
_CONTACT_SHEET_SCRIPT = Path(__file__).with_name("contact_sheet.py")
_WAVEFORM_SCRIPT = Path(__file__).with_name("waveform.py")
_LIMITS = ProcessLimits(file_bytes=2**30, memory_bytes=8 * 2**30)


@dataclass(frozen=True, slots=True)
class Sprite:
    """Sprite sheets and the times of their tiles."""

    sheets: list[Path]
    starts: list[float]
    """Start of the interval of each tile, in seconds."""
    end: float
    """End of the last interval, in seconds."""
    grid: Grid
    requested: int
    """Number of tiles before the limit."""


@dataclass(frozen=True, slots=True)
class Animation:
    """A short silent animation."""

    file: Path
    width: int
    """Pixels; smaller than requested if the file would exceed its size limit."""


@dataclass(frozen=True, slots=True)
class Stills:
    """Images of a video. Parts that were not requested are empty or None."""

    files: list[Path]
    times: list[float]
    """Timestamps of the files, in seconds."""
    requested: int
    """Number of frames before the limit."""
    poster: Path | None
    sprite: Sprite | None
    animation: Animation | None


NO_STILLS = Stills([], [], 0, None, None, None)


async def take_stills(
    video: Path,
    folder: Path,
    request: StillsRequest,
    *,
    media: MediaInfo | None = None,
    sandbox: Sandbox = "auto",
    on_progress: ProgressCallback | None = None,
) -> Stills:
    """Extract images from a video and write them to a folder. `sandbox` is the setting FFMPEG_SANDBOX.

    With `media`, the stream that it names is read, and times count from the start of the file.

    Raises FFmpegFailed if the file cannot be decoded or crashes the decoder, DiskFull without disk space.
    """
    job = StillsJob(
        source=await _source_file(video, media),
        request=request,
        folder=str(folder),
        threads=usable_processors(),
        max_pixels=MAX_PIXELS,
    )
    access = script_access(sandbox, read=[video], write=[folder])
    output = await _run_media_script(_THUMBNAILS_SCRIPT, video, asdict(job), folder, access, on_progress)
    result = StillsResult.from_json(output)
    frames = result.frames.frames if result.frames else []
    animation = result.animation
    return Stills(
        [folder / frame.file for frame in frames],
        [round(frame.time, 3) for frame in frames],
        result.frames.requested if result.frames else 0,
        folder / result.poster if result.poster else None,
        _sprite(folder, result.sprite) if result.sprite else None,
        Animation(folder / animation.file, animation.width) if animation else None,
    )


def _sprite(folder: Path, result: SpriteResult) -> Sprite:
    grid = Grid(result.columns, result.rows, result.tile_width, result.tile_height)
    return Sprite([folder / name for name in result.sheets], result.starts, result.end, grid, result.requested)


async def draw_waveform(
    source: Path,
    output: Path,
    request: WaveformRequest,
    *,
    stream: int | None = None,
    sandbox: Sandbox = "auto",
    on_progress: ProgressCallback | None = None,
) -> None:
    """Draw an audio stream of a file, given by its index. Raises the errors of `take_stills`."""
    job = WaveformJob(replace(await _source_file(source), stream=stream), request, str(output))
    access = script_access(sandbox, read=[source], write=[output.parent])
    await _run_media_script(_WAVEFORM_SCRIPT, source, asdict(job), output.parent, access, on_progress)


async def draw_contact_sheet(
    stills: Stills, output: Path, *, columns: int, heading: str, sandbox: Sandbox = "auto"
) -> None:
    """Draw a contact sheet of images. The first part of the heading, up to two spaces, is bold.

    Raises FFmpegFailed if the sheet cannot be drawn.
    """
    images = zip(stills.files, stills.times, strict=True)
    job = ContactSheetJob(
        images=[LabeledImage(str(file), timecode(time)) for file, time in images],
        columns=columns,
        heading=heading,
        bold_font=str(FONTS / "Inter-Bold.otf"),
        regular_font=str(FONTS / "Inter-Regular.otf"),
        output=str(output),
    )
    access = script_access(sandbox, read=[*stills.files, FONTS], write=[output.parent])
    await _run_script(_CONTACT_SHEET_SCRIPT, asdict(job), output.parent, access, None)
    if not await asyncio.to_thread(output.exists):
        raise FFmpegFailed("the contact sheet could not be drawn")


async def _source_file(path: Path, media: MediaInfo | None = None) -> SourceFile:
    return SourceFile(
        path=os.path.abspath(path),  # noqa: ASYNC240, PTH100 - reads no file
        demuxer=await asyncio.to_thread(forced_demuxer, path),
        options={
            "format_whitelist": MEDIA_FORMATS,
            "protocol_whitelist": "file,pipe",
            **await asyncio.to_thread(demuxer_options, path),
        },
        stream=media.video_index if media else None,
        start=media.start if media else None,
        decoder=media.decoder if media else None,
    )


async def _run_media_script(
    script: Path,
    source: Path,
    job: dict[str, Any],
    folder: Path,
    access: FileAccess | None,
    on_progress: ProgressCallback | None,
) -> dict[str, Any]:
    output = await _run_script(script, job, folder, access, on_progress)
    if "error" in output:
        error_type = DiskFull if output.get("disk_full") else FFmpegFailed
        raise error_type(f"cannot make a preview of '{source.name}': {output['error']}")
    if "done" in output or not output:  # the script ended without a result
        raise FFmpegFailed(f"'{source.name}' crashes the decoder; no preview can be made")
    return output


async def _run_script(
    script: Path,
    job: dict[str, Any],
    folder: Path,
    access: FileAccess | None,
    on_progress: ProgressCallback | None,
) -> dict[str, Any]:
    """Run a script and return its last message, or an empty object if it crashed before the first one."""
    last: dict[str, Any] = {}

    def read(message: dict[str, Any]) -> None:
        nonlocal last
        last = message
        if on_progress is not None and "done" in message:
            on_progress(message["done"])

    result = await run_script(script, job, read, cwd=folder, limits=_LIMITS, access=access)
    if result.code > 0:  # an exception in the script; a crash of the decoder ends it by a signal
        raise FFmpegFailed(f"{script.stem} stopped: {result.error}")
    return last
