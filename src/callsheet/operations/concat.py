"""Concat: join files into one, by stream copy if they match."""

from collections.abc import Iterable
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.clips.concat import concat_audio, concat_files, reencode_reason
from callsheet.media.encoding.downmix import downmix_notes
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.frame_size import even_size
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import Fit, FrameRate, Preset, Quality, Strict, even, parse_rate
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class ConcatParams(Model):
    """The files in order: all videos, or all audio files."""

    sources: list[MediaSource] = Field(
        min_length=1,
        max_length=1000,
        validation_alias=AliasChoices(
            "sources", "inputs", "files", "videos", "clips", "src", "video_paths", "videoPaths"
        ),
    )
    mode: Literal["auto", "copy", "encode"] = Field(
        "auto",
        description="copy: copy the video streams, which must match; encode: encode the video once; auto: copy if the "
        "video streams match, else encode",
    )
    width: int | None = Field(None, ge=16, le=8192, description="Default: from the first file")
    height: int | None = Field(None, ge=16, le=8192, description="Default: from the first file")
    fps: FrameRate | None = Field(
        None,
        validation_alias=AliasChoices("fps", "frame_rate", "frameRate"),
        description="Default: from the first file",
    )
    fit: Fit = Field("contain", description="For videos of another aspect ratio than the first")
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51)
    preset: Preset | None = Field(None, description="x264 preset. Default: from the settings")
    strict: Strict = False

    @model_validator(mode="before")
    @classmethod
    def _accept_list(cls, value: Any) -> Any:
        return {"sources": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _check_combination(self) -> "ConcatParams":
        if self.quality is not None and self.crf is not None:
            raise ValueError("give quality or crf, not both")
        if self.mode == "copy" and self._requests_encode:
            raise ValueError("mode copy cannot change size, frame rate or quality")
        return self

    @property
    def _requests_encode(self) -> bool:
        requested = (self.width, self.height, self.fps, self.quality, self.crf, self.preset)
        return any(value is not None for value in requested)

    def encode_reason(self, videos: list[MediaInfo]) -> str | None:
        """Return why the video is encoded, or None if it is copied."""
        if self.mode == "encode":
            return "mode is encode"
        if self._requests_encode:
            return "a size, rate or quality was requested"
        return reencode_reason(videos)


class ConcatResult(Model):
    """The joined file."""

    video: Artifact | None = Field(None, description="If the files are videos")
    audio: Artifact | None = Field(None, description="If the files are audio")
    duration: float = Field(description="Seconds")
    copied: bool = Field(description="Whether the video was copied without encoding")
    reason: str = Field(description="Why it was or was not copied")
    notes: list[str] = Field(default_factory=list, description="What is missing in a source, or was changed in it")


@operation("concat", queue="transcode", timeout=timedelta(hours=1), needs={"ffmpeg"}, aliases=("join",))
async def concat(job: Context, params: ConcatParams) -> ConcatResult:
    """Join files in order, without gaps between frames or samples."""
    files = [
        await read_media(job, source, f"sources[{n}]", strict=params.strict) for n, source in enumerate(params.sources)
    ]
    _check_same_kind(files)
    if not files[0].has_video:
        return await _join_audio(job, files)
    reason = params.encode_reason(files)
    if reason is not None and params.mode == "copy":
        raise BadParams([Problem("mode", "inconsistent_inputs", f"mode copy is not possible: {reason}")])
    if reason is None:
        joined = await concat_files(files, job.ffmpeg, job.dir, progress_callback(job))
        notes = _notes(files, joined.notes)
        return await _result(job, joined.path, joined.seconds, notes, copied=True, reason="the files match")
    plan = _render_plan(params, files)
    preset = params.preset or job.settings.ffmpeg_video_preset
    encoder = await select_encoder(job.ffmpeg, EncodeSettings(quality=params.quality, crf=params.crf, preset=preset))
    rendered = await Renderer(plan, encoder, job.ffmpeg, job.dir, progress_callback(job)).render()
    notes = _notes(files, rendered.notes)
    return await _result(job, rendered.path, plan.schedule.seconds, notes, copied=False, reason=reason)


def _notes(files: list[MediaInfo], found: Iterable[str]) -> list[str]:
    """Return what differs from the sources: what was found when they were opened and read, and how they were mixed."""
    opened = [note for file in files for note in (*file.notes, *downmix_notes(file.path.name, file.audio_layout))]
    return list(dict.fromkeys([*opened, *found]))


def _check_same_kind(files: list[MediaInfo]) -> None:
    """Raise BadParams for a mix of videos and audio files: the video for an audio file would be undefined."""
    has_video = files[0].has_video
    expected = "a video like the first file" if has_video else "an audio file like the first"
    problems = [
        Problem(f"sources[{n}]", "inconsistent_inputs", f"'{each.path.name}' is not {expected}")
        for n, each in enumerate(files)
        if each.has_video != has_video or each.still
    ]
    if problems:
        raise BadParams(problems)


def _render_plan(params: ConcatParams, videos: list[MediaInfo]) -> RenderPlan:
    rate = parse_rate(params.fps) if params.fps is not None else videos[0].constant_rate
    scenes = [Scene.model_validate({"src": source}) for source in params.sources]
    first = videos[0].probe
    assert first.width is not None and first.height is not None  # noqa: S101 - it is a video
    if params.width is None and params.height is None:
        width, height = even(first.width, odd_down=True), even(first.height, odd_down=True)
    else:
        width, height = even_size(params.width, params.height, Fraction(first.width, first.height))
    return RenderPlan(build_schedule(scenes, videos, rate), Canvas(width, height, rate, params.fit))


async def _join_audio(job: Context, files: list[MediaInfo]) -> ConcatResult:
    path, seconds, found = await concat_audio(files, job.ffmpeg, job.dir, progress_callback(job))
    audio = await job.keep(path, name=path.name, media_type="audio/mp4")
    reason, notes = "audio is decoded, joined and encoded once", _notes(files, found)
    return ConcatResult(audio=audio, duration=seconds, copied=False, reason=reason, notes=notes)


async def _result(
    job: Context, path: Path, seconds: float, notes: list[str], *, copied: bool, reason: str
) -> ConcatResult:
    video = await job.keep(path, name="joined.mp4", media_type="video/mp4")
    return ConcatResult(video=video, duration=seconds, copied=copied, reason=reason, notes=notes)
