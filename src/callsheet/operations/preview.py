"""Preview: what one shows of a video before it is played."""

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
from callsheet.media.thumbnails.contact_sheet import clock
from callsheet.media.thumbnails.storyboard import cues
from callsheet.media.values import Color, Seconds
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media

_MOST = 500
_MOST_TILES = 2000
_USUAL_COUNT = 6
_USUAL_THRESHOLD = 10
_USUAL_HIGHLIGHTS = 4
_WIDTHS = {"landscape": 480, "portrait": 320}
_LEEWAY = 0.1
"""Seconds by which a moment may lie after the end: lengths are often told rounded."""


class ContactSheet(Model):
    """All pictures on one sheet, with the time of each."""

    columns: int | None = Field(None, ge=1, le=50, description="Unset: as fits the shape of the pictures")


class Poster(Model):
    """One picture in full size."""

    time: Seconds | None = Field(None, description="Unset: the sharpest and most telling of a dozen or more")


class Sprite(Model):
    """Small pictures of the whole film on one or several sheets, with a WebVTT file for the player's seek bar."""

    count: int | None = Field(None, ge=1, le=_MOST_TILES, description="How many. Unset: 100, or one for each second")
    interval: float | None = Field(None, gt=0, le=86_400, description="Seconds that each stands for")
    columns: int = Field(10, ge=1, le=100, description="A sheet holds at most 100 pictures")
    width: int = Field(160, ge=16, le=640, description="Pixels of one picture")

    @model_validator(mode="after")
    def _one_spacing(self) -> "Sprite":
        if self.count is not None and self.interval is not None:
            raise ValueError("give count or interval, not both")
        return self


class Animation(Model):
    """A short silent film that plays by itself."""

    format: Literal["webp", "gif"] = "webp"
    seconds: float = Field(3, gt=0, le=15)
    fps: float = Field(12, ge=1, le=25, description="Pictures per second")
    width: int = Field(320, ge=16, le=800, description="Pixels")
    start: Seconds | None = Field(None, description="Shows the film from there, in place of highlights")
    highlights: int | None = Field(
        None,
        ge=1,
        le=12,
        description="Show the best moments of so many parts of the film, one after the other. Unset: 4",
    )
    max_bytes: int = Field(
        5_000_000, ge=10_000, le=50_000_000, description="It is made narrower where it would be more"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Animation":
        if self.start is not None and self.highlights is not None:
            raise ValueError("give start or highlights, not both")
        return self


class Waveform(Model):
    """A picture of the sound, from the start to the end of the film."""

    width: int = Field(1200, ge=16, le=8192, description="Pixels; each shows the peaks of its part of the sound")
    height: int = Field(200, ge=8, le=2048, description="Pixels; the full height is full level")
    color: Color = Field("#e4572e", validation_alias=AliasChoices("color", "colour"))
    background: Color | None = Field(None, description="Unset: transparent")
    format: Literal["png", "webp"] = "png"


class PreviewParams(Model):
    """Which pictures to take."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    count: int | None = Field(
        None,
        ge=1,
        le=_MOST,
        description="How many, evenly spread. Unset: 6; none where just a sprite, an animation or a waveform is wanted",
    )
    interval: float | None = Field(None, gt=0, le=86_400, description="Seconds from one to the next, in place of count")
    times: list[Seconds] | None = Field(
        None, min_length=1, max_length=_MOST, description="Exactly these moments, in place of count"
    )
    at: Literal["scene_changes"] | None = Field(
        None, description="The first picture of each scene, after cuts and dissolves, in place of count"
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=100,
        description=f"With at: percent of light and colour that change from scene to scene. Unset: {_USUAL_THRESHOLD}",
    )
    most: int = Field(
        _MOST,
        ge=1,
        le=_MOST,
        description="Pictures at most. Of more scenes, those with the largest changes; else they are spread evenly",
    )
    width: int | None = Field(None, ge=16, le=4096, description="Pixels. Unset: 480, or 320 for upright videos")
    format: Literal["jpeg", "webp", "avif", "png"] = "jpeg"
    contact_sheet: ContactSheet | None = None
    poster: Poster | None = None
    sprite: Sprite | None = None
    animation: Animation | None = None
    waveform: Waveform | None = None
    accuracy: Literal["keyframe", "exact", "auto"] = Field(
        "auto",
        description="keyframe is quickest, but some seconds off; exact decodes all the way to each moment, for scene "
        "changes all of the film; auto decodes only where it matters",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, dict):
            short = ("contact_sheet", "contactSheet", "poster", "sprite", "animation", "waveform")
            return {k: ({} if v else None) if k in short and isinstance(v, bool) else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _one_spacing(self) -> "PreviewParams":
        given = self._spacing()
        if len(given) > 1:
            raise ValueError(f"give {' or '.join(given)}, not {'both' if len(given) == 2 else 'all of them'}")
        if self.threshold is not None and self.at is None:
            raise ValueError("threshold says what a scene change is; it goes with at: scene_changes")
        return self

    def _spacing(self) -> list[str]:
        return [name for name in ("count", "interval", "times", "at") if getattr(self, name) is not None]

    @property
    def takes_frames(self) -> bool:
        """Whether single pictures are wanted."""
        others = self.sprite or self.animation or self.waveform
        return bool(self._spacing() or self.contact_sheet or self.poster or not others)

    @property
    def looks(self) -> bool:
        """Whether anything is wanted that takes pictures, and not only sound."""
        return bool(self.takes_frames or self.sprite or self.animation)


class SpriteSheets(Model):
    """Sheets of small pictures, and which moments they show."""

    sheets: list[Artifact]
    vtt: Artifact = Field(description="WebVTT; it names the sheets, which lie in its own folder")
    count: int = Field(description="Pictures on all sheets")
    columns: int
    width: int = Field(description="Pixels of one picture")
    height: int = Field(description="Pixels of one picture")


class PreviewResult(Model):
    """The pictures, in order."""

    frames: list[Artifact]
    times: list[float] = Field(description="Seconds into the video, one for each frame")
    contact_sheet: Artifact | None = None
    poster: Artifact | None = None
    sprite: SpriteSheets | None = None
    animation: Artifact | None = None
    waveform: Artifact | None = None
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than one may expect, and why")


@operation(
    "preview",
    queue="preview",
    timeout=timedelta(minutes=5),
    aliases=("generate_preview_task", "preview_task"),
)
async def preview(job: Context, params: PreviewParams) -> PreviewResult:
    """Take pictures from a video: single ones, a contact sheet, a poster, a sprite, an animation, its waveform."""
    source = await _read(job, params)
    taken = await _take(job, params, source) if params.looks else preview_process.NOTHING
    return PreviewResult(
        frames=[await job.keep(file) for file in taken.files],
        times=taken.times,
        contact_sheet=await _lay_out(job, params.contact_sheet, taken, source.probe),
        poster=await job.keep(taken.poster) if taken.poster else None,
        sprite=await _keep_sprite(job, taken.sprite),
        animation=await job.keep(taken.animation.file) if taken.animation else None,
        waveform=await _draw_waveform(job, params.waveform, source),
        notes=[*_notes(params, taken)],
    )


async def _read(job: Context, params: PreviewParams) -> MediaInfo:
    source = await read_media(job, params.src, "src", "image" if params.looks else "audio")
    problems = [*_moments_after_the_end(params, source)]
    if params.waveform is not None and not source.has_audio:
        problems.append(Problem("waveform", "no_sound", f"there is no sound in '{source.path.name}' to be drawn"))
    if problems:
        raise BadParams(problems)
    return source


def _moments_after_the_end(params: PreviewParams, source: MediaInfo) -> list[Problem]:
    length = source.video_seconds
    if length is None or source.still:
        return []
    asked = {f"times[{index}]": time for index, time in enumerate(params.times or [])}
    asked |= {"poster.time": params.poster.time} if params.poster and params.poster.time else {}
    asked |= {"animation.start": params.animation.start} if params.animation and params.animation.start else {}
    message = "{:g} s is after the end of the picture, which is {:g} s long"
    return [
        Problem(field, "out_of_range", message.format(time, length))
        for field, time in asked.items()
        if time > length + _LEEWAY
    ]


async def _take(job: Context, params: PreviewParams, source: MediaInfo) -> preview_process.Stills:
    share = 0.75 if params.waveform else 0.95
    return await preview_process.take_stills(
        source.path,
        job.dir,
        format=params.format,
        accuracy=params.accuracy,
        frames=_frames(params, source.probe) if params.takes_frames else None,
        poster=_moment(params.poster) if params.poster else None,
        sprite={**params.sprite.model_dump(by_alias=False), "most": _MOST_TILES} if params.sprite else None,
        animation=_animation(params.animation) if params.animation else None,
        on_progress=lambda done: job.progress(done * share),
    )


def _frames(params: PreviewParams, found: Probe) -> dict[str, Any]:
    spaced = params.interval or params.times or params.at
    return {
        "count": None if spaced else params.count or _USUAL_COUNT,
        "interval": params.interval,
        "times": params.times,
        "at": params.at,
        "threshold": params.threshold or _USUAL_THRESHOLD,
        "most": params.most,
        "width": params.width or _WIDTHS["portrait" if _upright(found) else "landscape"],
    }


def _moment(asked: Poster) -> bool | float:
    return True if asked.time is None else float(asked.time)


def _animation(asked: Animation) -> dict[str, Any]:
    return {**asked.model_dump(by_alias=False), "highlights": asked.highlights or _USUAL_HIGHLIGHTS}


async def _lay_out(
    job: Context, asked: ContactSheet | None, taken: preview_process.Stills, found: Probe
) -> Artifact | None:
    if asked is None:
        return None
    path = job.dir / "contact-sheet.jpg"
    columns = asked.columns or _columns(len(taken.files), _upright(found))
    await preview_process.lay_out(taken, path, columns=columns, facts=_facts(found))
    return await job.keep(path)


async def _keep_sprite(job: Context, made: preview_process.Sprite | None) -> SpriteSheets | None:
    if made is None:
        return None
    sheets = [await job.keep(sheet) for sheet in made.sheets]
    vtt = job.dir / "sprite.vtt"
    # By the names they were kept under, which may differ from those of the files.
    vtt.write_text(cues(made.starts, made.end, made.grid, [sheet.name for sheet in sheets]), "utf-8")
    return SpriteSheets(
        sheets=sheets,
        vtt=await job.keep(vtt),
        count=len(made.starts),
        columns=made.grid.columns,
        width=made.grid.width,
        height=made.grid.height,
    )


async def _draw_waveform(job: Context, asked: Waveform | None, source: MediaInfo) -> Artifact | None:
    if asked is None:
        return None
    path = job.dir / f"waveform.{asked.format}"
    wish = {**asked.model_dump(exclude={"format"}, by_alias=False), "duration": source.probe.duration}
    await preview_process.draw_waveform(
        source.path, path, wish, on_progress=lambda done: job.progress(0.75 + 0.2 * done)
    )
    return await job.keep(path)


def _notes(params: PreviewParams, taken: preview_process.Stills) -> Iterator[str]:
    if taken.asked > params.most and params.at:
        yield f"the film has {taken.asked:,} scenes; those with the largest changes were taken"
    elif taken.asked > params.most:
        yield f"of {taken.asked:,} pictures that were asked for, {params.most:,} were taken, evenly spread"
    if taken.sprite and taken.sprite.asked > _MOST_TILES:
        yield f"of {taken.sprite.asked:,} pictures of the sprite, {_MOST_TILES:,} were taken, evenly spread"
    if params.animation and taken.animation and taken.animation.width < params.animation.width:
        yield f"the animation was made {taken.animation.width} pixels wide, to stay within its limit of bytes"


def _upright(found: Probe) -> bool:
    return (found.height or 0) > (found.width or 0)


def _columns(count: int, upright: bool) -> int:
    """Return a number of columns that fills its rows, if there is one near the usual."""
    usual = 6 if upright else 4
    near = [columns for columns in (usual, usual - 1, usual + 1) if count % columns == 0]
    return min(count, near[0] if near else usual)


def _facts(found: Probe) -> str:
    """Return one line about the video: its length, then its size and rate."""
    rate = f"{found.fps:.4g} fps" if found.fps else None
    rest = [f"{found.width} × {found.height}", rate, found.video_codec]
    return f"{clock(found.duration or 0)}  {'   '.join(part for part in rest if part)}"
