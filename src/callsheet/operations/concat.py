"""Concat: several files become one, without a new encode where they match."""

from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.clips.concat import concat_audio, concat_files, why_not_stream_copy
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.frame_size import even_size
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import Fit, FrameRate, Preset, Quality, read_rate
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class ConcatParams(Model):
    """Files in their order: all with a picture, or all sound alone."""

    sources: list[MediaSource] = Field(
        min_length=1,
        max_length=1000,
        validation_alias=AliasChoices(
            "sources", "inputs", "files", "videos", "clips", "src", "video_paths", "videoPaths"
        ),
    )
    mode: Literal["auto", "copy", "encode"] = Field(
        "auto",
        description="copy: the pictures are passed on as they are, which needs files that match; encode: they are "
        "encoded once; auto: copy where the files match",
    )
    width: int | None = Field(None, ge=16, le=8192, description="Unset: that of the first file")
    height: int | None = Field(None, ge=16, le=8192, description="Unset: that of the first file")
    fps: FrameRate | None = Field(
        None,
        validation_alias=AliasChoices("fps", "frame_rate", "frameRate"),
        description="Unset: that of the first file",
    )
    fit: Fit = Field("contain", description="For pictures of another shape than the first")
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51)
    preset: Preset | None = Field(None, description="x264's; unset: that of the settings")

    @model_validator(mode="before")
    @classmethod
    def _just_a_list(cls, value: Any) -> Any:
        return {"sources": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _goes_together(self) -> "ConcatParams":
        if self.quality is not None and self.crf is not None:
            raise ValueError("give quality or crf, not both")
        if self.mode == "copy" and self._asks_for_an_encode:
            raise ValueError("mode copy leaves size, frame rate and quality as they are")
        return self

    @property
    def _asks_for_an_encode(self) -> bool:
        asked = (self.width, self.height, self.fps, self.quality, self.crf, self.preset)
        return any(value is not None for value in asked)

    def why_not_copied(self, videos: list[MediaInfo]) -> str | None:
        """Return why the pictures are encoded; None when they are passed on."""
        if self.mode == "encode":
            return "mode is encode"
        if self._asks_for_an_encode:
            return "a size, rate or quality was asked for"
        return why_not_stream_copy(videos)


class ConcatResult(Model):
    """The files in one."""

    video: Artifact | None = Field(None, description="Where the files have a picture")
    audio: Artifact | None = Field(None, description="Where the files are sound alone")
    duration: float = Field(description="Seconds")
    copied: bool = Field(description="Whether the pictures were passed on as they were, without a new encode")
    reason: str = Field(description="Why they were, or were not")


@operation("concat", queue="transcode", timeout=timedelta(hours=1), needs={"ffmpeg"}, aliases=("join",))
async def concat(job: Context, params: ConcatParams) -> ConcatResult:
    """Join files one after another, seamless to the frame and to the sample."""
    found = [await read_media(job, source, f"sources[{n}]") for n, source in enumerate(params.sources)]
    _check_alike(found)
    if not found[0].has_picture:
        return await _sounds(job, found)
    reason = params.why_not_copied(found)
    if reason is not None and params.mode == "copy":
        raise BadParams([Problem("mode", "inconsistent_inputs", f"mode copy is not possible: {reason}")])
    if reason is None:
        joined = await concat_files(found, job.ffmpeg, job.dir, progress_callback(job))
        return await _result(job, joined.path, joined.seconds, copied=True, reason="the files match")
    film = _film(params, found)
    preset = params.preset or job.settings.ffmpeg_video_preset
    encoder = await select_encoder(job.ffmpeg, EncodeSettings(quality=params.quality, crf=params.crf, preset=preset))
    made = await Renderer(film, encoder, job.ffmpeg, job.dir, progress_callback(job)).render()
    return await _result(job, made.path, film.schedule.seconds, copied=False, reason=reason)


def _check_alike(found: list[MediaInfo]) -> None:
    """All must have a moving picture, or none: what is to be seen during mere sound, nobody said."""
    pictures = found[0].has_picture
    wanted = "a video like the first" if pictures else "sound alone like the first"
    problems = [
        Problem(f"sources[{n}]", "inconsistent_inputs", f"'{each.path.name}' is not {wanted}")
        for n, each in enumerate(found)
        if each.has_picture != pictures or each.still
    ]
    if problems:
        raise BadParams(problems)


def _film(params: ConcatParams, videos: list[MediaInfo]) -> RenderPlan:
    rate = read_rate(params.fps) if params.fps is not None else videos[0].rate
    scenes = [Scene.model_validate({"src": source}) for source in params.sources]
    first = videos[0].probe
    assert first.width is not None and first.height is not None  # noqa: S101 - it has a picture
    if params.width is None and params.height is None:
        width, height = _even(first.width), _even(first.height)
    else:
        width, height = even_size(params.width, params.height, Fraction(first.width, first.height))
    return RenderPlan(build_schedule(scenes, videos, rate), Canvas(width, height, rate, params.fit))


async def _sounds(job: Context, found: list[MediaInfo]) -> ConcatResult:
    path, seconds = await concat_audio(found, job.ffmpeg, job.dir, progress_callback(job))
    audio = await job.keep(path, name=path.name, media_type="audio/mp4")
    return ConcatResult(audio=audio, duration=seconds, copied=False, reason="sound is encoded once, as a whole")


async def _result(job: Context, path: Path, seconds: float, *, copied: bool, reason: str) -> ConcatResult:
    video = await job.keep(path, name="joined.mp4", media_type="video/mp4")
    return ConcatResult(video=video, duration=seconds, copied=copied, reason=reason)


def _even(size: int) -> int:
    return max(2, size - size % 2)
