"""Operation `preview`: preview images of a video."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact, Probe
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.thumbnails import preview_process
from callsheet.media.thumbnails.preview_requests import (
    AnimationRequest,
    FramesRequest,
    PosterRequest,
    SpriteRequest,
    StillsRequest,
    WaveformRequest,
)
from callsheet.media.thumbnails.storyboard import storyboard_vtt
from callsheet.media.thumbnails.timecode import timecode
from callsheet.media.values import Color, Seconds
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media

_MAX_FRAMES = 500
_MAX_TILES = 2000
_DEFAULT_COUNT = 6
_DEFAULT_THRESHOLD = 10
_DEFAULT_HIGHLIGHTS = 4
_DEFAULT_WIDTHS = {"landscape": 480, "portrait": 320}
_END_TOLERANCE = 0.1
"""Seconds by which a time may exceed the end of the video. Containers often round durations."""


class ContactSheet(Model):
    """All frames on one sheet, with their times."""

    columns: int | None = Field(None, ge=1, le=50, description="Default: depends on the aspect ratio")


class Poster(Model):
    """One large image."""

    time: Seconds | None = Field(
        None, description="Default: the best of at least twelve frames, by sharpness, exposure and color"
    )


class Sprite(Model):
    """Small images of the whole video on one or several sheets, with a WebVTT file for the seek bar of a player."""

    count: int | None = Field(
        None, ge=1, le=_MAX_TILES, description="Number of tiles. Default: one per second, at most 100"
    )
    interval: float | None = Field(None, gt=0, le=86_400, description="Seconds between tiles")
    columns: int = Field(10, ge=1, le=100, description="A sheet has at most 100 tiles")
    width: int = Field(160, ge=16, le=640, description="Width of a tile in pixels")

    @model_validator(mode="after")
    def _check_spacing(self) -> "Sprite":
        if self.count is not None and self.interval is not None:
            raise ValueError("give count or interval, not both")
        return self


class Animation(Model):
    """A short silent animation that plays automatically."""

    format: Literal["webp", "gif"] = "webp"
    seconds: float = Field(3, gt=0, le=15)
    fps: float = Field(12, ge=1, le=25, description="Frames per second")
    width: int = Field(320, ge=16, le=800, description="Pixels")
    start: Seconds | None = Field(None, description="Start of the animation, instead of highlights")
    highlights: int | None = Field(
        None,
        ge=1,
        le=12,
        description="Number of best moments from equal parts of the video, in order. Default: 4",
    )
    max_bytes: int = Field(
        5_000_000, ge=10_000, le=50_000_000, description="Maximum file size. The width is reduced to meet it"
    )

    @model_validator(mode="after")
    def _check_start(self) -> "Animation":
        if self.start is not None and self.highlights is not None:
            raise ValueError("give start or highlights, not both")
        return self


class Waveform(Model):
    """An image of the audio over the whole duration of the video."""

    width: int = Field(1200, ge=16, le=8192, description="Pixels; each column shows the peaks of its part of the audio")
    height: int = Field(200, ge=8, le=2048, description="Pixels; the full height is full scale")
    color: Color = Field("#e4572e", validation_alias=AliasChoices("color", "colour"))
    background: Color | None = Field(None, description="Default: transparent")
    format: Literal["png", "webp"] = "png"


class PreviewParams(Model):
    """Images to make."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    count: int | None = Field(
        None,
        ge=1,
        le=_MAX_FRAMES,
        description="Number of evenly spaced frames. Default: 6, or none if only a sprite, animation or waveform is "
        "requested",
    )
    interval: float | None = Field(None, gt=0, le=86_400, description="Seconds between frames, instead of count")
    times: list[Seconds] | None = Field(
        None, min_length=1, max_length=_MAX_FRAMES, description="Exact times, instead of count"
    )
    at: Literal["scene_changes"] | None = Field(
        None, description="First frame of each scene, after cuts and dissolves, instead of count"
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=100,
        description=f"Minimum scene change, in percent of light and color. Default: {_DEFAULT_THRESHOLD}",
    )
    most: int = Field(
        _MAX_FRAMES,
        ge=1,
        le=_MAX_FRAMES,
        description="Maximum number of frames. Of more scenes, those with the largest changes are kept; otherwise the "
        "frames are spaced evenly",
    )
    width: int | None = Field(None, ge=16, le=4096, description="Pixels. Default: 480, or 320 for portrait videos")
    format: Literal["jpeg", "webp", "avif", "png"] = "jpeg"
    contact_sheet: ContactSheet | None = None
    poster: Poster | None = None
    sprite: Sprite | None = None
    animation: Animation | None = None
    waveform: Waveform | None = None
    accuracy: Literal["keyframe", "exact", "auto"] = Field(
        "auto",
        description="keyframe is fastest, but may be off by seconds; exact decodes up to each time, and the whole "
        "video for scene changes; auto decodes only where it matters",
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_booleans(cls, value: Any) -> Any:
        if isinstance(value, dict):
            parts = ("contact_sheet", "contactSheet", "poster", "sprite", "animation", "waveform")
            return {k: ({} if v else None) if k in parts and isinstance(v, bool) else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _check_spacing(self) -> "PreviewParams":
        given = self._spacing()
        if len(given) > 1:
            raise ValueError(f"give {' or '.join(given)}, not {'both' if len(given) == 2 else 'all of them'}")
        if self.threshold is not None and self.at is None:
            raise ValueError("threshold needs at: scene_changes")
        return self

    def _spacing(self) -> list[str]:
        return [name for name in ("count", "interval", "times", "at") if getattr(self, name) is not None]

    @property
    def takes_frames(self) -> bool:
        """Whether single frames are requested."""
        others = self.sprite or self.animation or self.waveform
        return bool(self._spacing() or self.contact_sheet or self.poster or not others)

    @property
    def needs_video(self) -> bool:
        """Whether anything other than a waveform is requested."""
        return bool(self.takes_frames or self.sprite or self.animation)


class SpriteSheets(Model):
    """Sprite sheets and their times."""

    sheets: list[Artifact]
    vtt: Artifact = Field(description="WebVTT file that references the sheets by name")
    count: int = Field(description="Number of tiles on all sheets")
    columns: int
    width: int = Field(description="Width of a tile in pixels")
    height: int = Field(description="Height of a tile in pixels")


class PreviewResult(Model):
    """The images, in order."""

    frames: list[Artifact]
    times: list[float] = Field(description="Time of each frame, in seconds")
    contact_sheet: Artifact | None = None
    poster: Artifact | None = None
    sprite: SpriteSheets | None = None
    animation: Artifact | None = None
    waveform: Artifact | None = None
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation(
    "preview",
    queue="preview",
    timeout=timedelta(minutes=5),
    needs={"ffmpeg"},
    aliases=("generate_preview_task", "preview_task"),
)
async def preview(job: Context, params: PreviewParams) -> PreviewResult:
    """Make preview images of a video: frames, a contact sheet, a poster, a sprite, an animation, a waveform."""
    source = await _read_source(job, params)
    stills = await _take_stills(job, params, source) if params.needs_video else preview_process.NO_STILLS
    return PreviewResult(
        frames=[await job.keep(file) for file in stills.files],
        times=stills.times,
        contact_sheet=await _draw_contact_sheet(job, params.contact_sheet, stills, source.probe),
        poster=await job.keep(stills.poster) if stills.poster else None,
        sprite=await _publish_sprite(job, stills.sprite),
        animation=await job.keep(stills.animation.file) if stills.animation else None,
        waveform=await _draw_waveform(job, params.waveform, source),
        notes=[*source.notes, *_notes(params, stills)],
    )


async def _read_source(job: Context, params: PreviewParams) -> MediaInfo:
    source = await read_media(job, params.src, "src", "image" if params.needs_video else "audio")
    problems = [*_times_after_end(params, source)]
    if params.waveform is not None and not source.has_audio:
        problems.append(Problem("waveform", "no_sound", f"'{source.path.name}' has no audio"))
    if problems:
        raise BadParams(problems)
    return source


def _times_after_end(params: PreviewParams, source: MediaInfo) -> list[Problem]:
    if source.video_seconds is None or source.still:
        return []
    duration = source.video_delay + source.video_seconds
    times = {f"times[{index}]": time for index, time in enumerate(params.times or [])}
    times |= {"poster.time": params.poster.time} if params.poster and params.poster.time else {}
    times |= {"animation.start": params.animation.start} if params.animation and params.animation.start else {}
    message = "{:g} s is after the end of the video, which is {:g} s long"
    return [
        Problem(field, "out_of_range", message.format(time, duration))
        for field, time in times.items()
        if time > duration + _END_TOLERANCE
    ]


async def _take_stills(job: Context, params: PreviewParams, source: MediaInfo) -> preview_process.Stills:
    share = 0.75 if params.waveform else 0.95
    request = StillsRequest(
        format=params.format,
        accuracy=params.accuracy,
        frames=_frames_request(params, source.probe) if params.takes_frames else None,
        poster=PosterRequest(params.poster.time) if params.poster else None,
        sprite=_sprite_request(params.sprite) if params.sprite else None,
        animation=_animation_request(params.animation) if params.animation else None,
    )
    return await preview_process.take_stills(
        source.path,
        job.dir,
        request,
        media=source,
        sandbox=job.ffmpeg.sandbox,
        on_progress=lambda done: job.progress(done * share),
    )


def _frames_request(params: PreviewParams, probe: Probe) -> FramesRequest:
    has_spacing = params.interval or params.times or params.at
    return FramesRequest(
        count=None if has_spacing else params.count or _DEFAULT_COUNT,
        interval=params.interval,
        times=params.times,
        at=params.at,
        threshold=params.threshold or _DEFAULT_THRESHOLD,
        limit=params.most,
        width=params.width or _DEFAULT_WIDTHS["portrait" if _is_portrait(probe) else "landscape"],
    )


def _sprite_request(params: Sprite) -> SpriteRequest:
    return SpriteRequest(
        limit=_MAX_TILES, columns=params.columns, width=params.width, count=params.count, interval=params.interval
    )


def _animation_request(params: Animation) -> AnimationRequest:
    return AnimationRequest(
        format=params.format,
        seconds=params.seconds,
        fps=params.fps,
        width=params.width,
        highlights=params.highlights or _DEFAULT_HIGHLIGHTS,
        max_bytes=params.max_bytes,
        start=params.start,
    )


async def _draw_contact_sheet(
    job: Context, params: ContactSheet | None, stills: preview_process.Stills, probe: Probe
) -> Artifact | None:
    if params is None:
        return None
    path = job.dir / "contact-sheet.jpg"
    columns = params.columns or _default_columns(len(stills.files), _is_portrait(probe))
    await preview_process.draw_contact_sheet(
        stills, path, columns=columns, heading=_heading(probe), sandbox=job.ffmpeg.sandbox
    )
    return await job.keep(path)


async def _publish_sprite(job: Context, sprite: preview_process.Sprite | None) -> SpriteSheets | None:
    if sprite is None:
        return None
    sheets = [await job.keep(sheet) for sheet in sprite.sheets]
    vtt = job.dir / "sprite.vtt"
    # The published names of the sheets may differ from their file names.
    vtt.write_text(storyboard_vtt(sprite.starts, sprite.end, sprite.grid, [sheet.name for sheet in sheets]), "utf-8")
    return SpriteSheets(
        sheets=sheets,
        vtt=await job.keep(vtt),
        count=len(sprite.starts),
        columns=sprite.grid.columns,
        width=sprite.grid.width,
        height=sprite.grid.height,
    )


async def _draw_waveform(job: Context, params: Waveform | None, source: MediaInfo) -> Artifact | None:
    if params is None:
        return None
    path = job.dir / f"waveform.{params.format}"
    request = WaveformRequest(
        width=params.width,
        height=params.height,
        color=params.color,
        background=params.background,
        duration=source.probe.duration,
    )
    await preview_process.draw_waveform(
        source.path,
        path,
        request,
        stream=source.audio.index,
        sandbox=job.ffmpeg.sandbox,
        on_progress=lambda done: job.progress(0.75 + 0.2 * done),
    )
    return await job.keep(path)


def _notes(params: PreviewParams, stills: preview_process.Stills) -> Iterator[str]:
    if stills.requested > params.most and params.at:
        yield f"the video has {stills.requested:,} scenes; those with the largest changes were taken"
    elif stills.requested > params.most:
        yield f"{params.most:,} of {stills.requested:,} requested frames were taken, evenly spaced"
    if stills.sprite and stills.sprite.requested > _MAX_TILES:
        yield f"{_MAX_TILES:,} of {stills.sprite.requested:,} requested tiles of the sprite were made, evenly spaced"
    if params.animation and stills.animation and stills.animation.width < params.animation.width:
        yield f"the width of the animation was reduced to {stills.animation.width} pixels to meet maxBytes"


def _is_portrait(probe: Probe) -> bool:
    return (probe.height or 0) > (probe.width or 0)


def _default_columns(count: int, portrait: bool) -> int:
    """Return a number of columns that fills all rows, if one is close to the default."""
    default = 6 if portrait else 4
    divisors = [columns for columns in (default, default - 1, default + 1) if count % columns == 0]
    return min(count, divisors[0] if divisors else default)


def _heading(probe: Probe) -> str:
    """Return one line about the video: its duration, then its size, frame rate and codec."""
    rate = f"{probe.fps:.4g} fps" if probe.fps else None
    details = [f"{probe.width} × {probe.height}", rate, probe.video_codec]
    return f"{timecode(probe.duration or 0)}  {'   '.join(detail for detail in details if detail)}"
