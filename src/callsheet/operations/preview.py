"""Preview: pictures from a video, one by one and on a contact sheet."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact, Probe
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.contact_sheet import clock
from callsheet.media.probe import inspect
from callsheet.media.stills import lay_out, take
from callsheet.media.words import Seconds
from callsheet.operations.contract import Context, operation

_MOST = 500
_USUAL_COUNT = 6
_WIDTHS = {"landscape": 480, "portrait": 320}


class ContactSheet(Model):
    """All pictures on one sheet, with the time of each."""

    columns: int | None = Field(None, ge=1, le=50, description="Unset: as fits the shape of the pictures")


class Poster(Model):
    """One picture in full size."""

    time: Seconds | None = Field(None, description="Unset: the most telling of the pictures taken")


class PreviewParams(Model):
    """Which pictures to take."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    count: int | None = Field(None, ge=1, le=_MOST, description="How many, evenly spread. Unset: 6, or by interval")
    interval: float | None = Field(None, gt=0, le=86_400, description="Seconds from one to the next, in place of count")
    width: int | None = Field(None, ge=16, le=4096, description="Pixels. Unset: 480, or 320 for upright videos")
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    contact_sheet: ContactSheet | None = None
    poster: Poster | None = None
    accuracy: Literal["keyframe", "exact", "auto"] = Field(
        "auto", description="keyframe is quickest, but some seconds off; auto decodes further only where it matters"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, dict):
            short = ("contact_sheet", "contactSheet", "poster")
            return {k: ({} if v else None) if k in short and isinstance(v, bool) else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _one_spacing(self) -> "PreviewParams":
        if self.count is not None and self.interval is not None:
            raise ValueError("give count or interval, not both")
        return self


class PreviewResult(Model):
    """The pictures, in order."""

    frames: list[Artifact]
    times: list[float] = Field(description="Seconds into the video, one for each frame")
    contact_sheet: Artifact | None = None
    poster: Artifact | None = None


@operation(
    "preview",
    queue="preview",
    timeout=timedelta(minutes=5),
    aliases=("generate_preview_task", "preview_task"),
)
async def preview(job: Context, params: PreviewParams) -> PreviewResult:
    """Take pictures from a video, with a contact sheet and a poster if asked."""
    source = await inspect(await job.open(params.src))
    if not source.has_picture:
        raise BadParams([Problem("src", "no_picture", f"there is no picture in '{source.path.name}'")])
    upright = (source.probe.height or 0) > (source.probe.width or 0)
    taken = await take(
        source.path,
        job.dir,
        count=None if params.interval else params.count or _USUAL_COUNT,
        interval=params.interval,
        width=params.width or _WIDTHS["portrait" if upright else "landscape"],
        format=params.format,
        accuracy=params.accuracy,
        poster=_poster(params.poster),
        most=_MOST,
        on_progress=lambda share: job.progress(share * 0.8),
    )
    sheet = None
    if params.contact_sheet is not None:
        path = job.dir / "contact-sheet.jpg"
        columns = params.contact_sheet.columns or _columns(len(taken.files), upright)
        await lay_out(taken, path, columns=columns, facts=_facts(source.probe))
        sheet = await job.keep(path)
    job.progress(0.9)
    return PreviewResult(
        frames=[await job.keep(file) for file in taken.files],
        times=taken.times,
        contact_sheet=sheet,
        poster=await job.keep(taken.poster) if taken.poster else None,
    )


def _poster(asked: Poster | None) -> bool | float:
    if asked is None:
        return False
    return True if asked.time is None else float(asked.time)


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
