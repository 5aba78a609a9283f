"""Split: cut a file into parts. Together they contain every frame and every sample of the source."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.clips.detection import detect_scene_changes, detect_silences
from callsheet.media.clips.split import SplitPart, Splitter
from callsheet.media.encoding import codecs
from callsheet.media.encoding.downmix import downmix_notes
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.encoding.stream_copy_rules import accepts_video_codec
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.values import Preset, Quality, Seconds, Strict
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback

_MAX_PARTS = 1000


class Silence(Model):
    """How silence is detected."""

    threshold: float = Field(-35.0, ge=-90, le=-5, description="dBFS. Audio below this level is silence")
    duration: Seconds = Field(0.5, description="Minimum length in seconds")


class SceneChange(Model):
    """How scene changes are detected."""

    threshold: float = Field(
        0.3, gt=0, lt=1, description="FFmpeg's scene score, from 0 to 1. A lower value detects more changes"
    )


class SplitParams(Model):
    """A video or audio file, and one of `every`, `count`, `times`, `silence` and `scenes`, which sets where to cut."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"src": "./input.mp4", "every": 10}]})

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "audio", "video_path", "videoPath")
    )
    every: Seconds | None = Field(
        None,
        validation_alias=AliasChoices(
            "every", "seconds", "chunk_seconds", "chunkSeconds", "segment_time", "segmentTime"
        ),
        description="Length of each part in seconds. The last part may be shorter",
    )
    count: int | None = Field(None, ge=2, le=_MAX_PARTS, validation_alias=AliasChoices("count", "chunks", "parts"))
    times: list[Seconds] | None = Field(
        None, min_length=1, max_length=_MAX_PARTS - 1, description="Times to cut at, in seconds"
    )
    silence: Silence | None = Field(None, description="Cut in the middle of each silence. `true`: default detection")
    scenes: SceneChange | None = Field(None, description="Cut at each scene change. `true`: default detection")
    min_duration: Seconds = Field(1.0, description="Minimum length of a part in seconds, for silence and scenes")
    mode: Literal["exact", "copy"] = Field(
        "exact",
        description="exact: encode the video, and cut at the frame nearest to each time; copy: copy the video, and cut "
        "at the nearest key frame. Audio is cut to the sample in both modes",
    )
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51)
    preset: Preset | None = Field(None, description="x264 preset. Default: from the settings")
    strict: Strict = False

    @model_validator(mode="before")
    @classmethod
    def _expand_booleans(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        defaults: dict[str, Any] = {key: {} for key in ("silence", "scenes") if value.get(key) is True}
        disabled = {key: None for key in ("silence", "scenes") if value.get(key) is False}
        return {**value, **defaults, **disabled}

    @model_validator(mode="after")
    def _check_one_method(self) -> "SplitParams":
        methods = ("every", "count", "times", "silence", "scenes")
        given = [name for name in methods if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(methods)}; got {', '.join(given) or 'none'}")
        if self.every is not None and self.every < 0.1:
            raise ValueError("every must be at least 0.1 s")
        if self.quality is not None and self.crf is not None:
            raise ValueError("give quality or crf, not both")
        return self


class Part(Model):
    """One part."""

    file: Artifact
    start: float = Field(description="Seconds from the start of the source")
    duration: float = Field(description="Seconds")
    frames: int | None = Field(None, description="Number of video frames. Null for audio files")


class SplitResult(Model):
    """The parts in order. Together they have the length and the frames of the source."""

    files: list[Artifact]
    parts: list[Part]
    copied: bool = Field(description="Whether the video was copied without encoding")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation("split", queue="transcode", timeout=timedelta(hours=1), needs={"ffmpeg"}, aliases=("chunk",))
async def split(job: Context, params: SplitParams) -> SplitResult:
    """Cut a video or audio file into parts: by length, by number, at times, at silences or at scene changes."""
    source = await read_media(job, params.src, "src", strict=params.strict)
    _check(params, source)
    splitter = await _splitter(job, params, source)
    times = await _times(job, params, source, splitter.seconds)
    points = splitter.split_points(times)
    files = await splitter.split(points, progress_callback(job, 0.1))
    parts = [await _keep(job, file) for file in files]
    return SplitResult(
        files=[part.file for part in parts],
        parts=parts,
        copied=splitter.stream_copy,
        notes=[
            *source.notes,
            *downmix_notes(source.path.name, source.audio_layout),
            *splitter.notes,
            *_notes(params, source, times, len(points)),
        ],
    )


def _check(params: SplitParams, source: MediaInfo) -> None:
    problems: list[Problem] = []
    if source.still:
        problems.append(Problem("src", "not_a_video", f"this is a still image, not a video: '{source.path.name}'"))
    if params.silence is not None and not source.has_audio:
        problems.append(Problem("silence", "no_sound", "there is no audio in this file"))
    if params.scenes is not None and not source.has_video:
        problems.append(Problem("scenes", "no_picture", "there is no video in this file"))
    if params.mode == "copy" and source.has_video and not accepts_video_codec("mkv", source.probe.video_codec):
        message = f"{source.probe.video_codec} video cannot be copied; use mode exact"
        problems.append(Problem("mode", "codec_does_not_fit", message))
    if params.every is not None and (source.probe.duration or 0) / params.every > _MAX_PARTS:
        problems.append(Problem("every", "too_many_parts", f"this makes more than {_MAX_PARTS} parts"))
    if problems:
        raise BadParams(problems)


async def _splitter(job: Context, params: SplitParams, source: MediaInfo) -> Splitter:
    if not source.has_video:
        return Splitter(source, job.ffmpeg, job.dir)
    frames = await read_frame_index(job.ffmpeg, source)
    if params.mode == "copy" and source.copy_obstacle is None:
        return Splitter(source, job.ffmpeg, job.dir, frames)
    preset = params.preset or job.settings.ffmpeg_video_preset
    encoder = await select_encoder(job.ffmpeg, EncodeSettings(quality=params.quality, crf=params.crf, preset=preset))
    return Splitter(source, job.ffmpeg, job.dir, frames, encoder)


async def _times(job: Context, params: SplitParams, source: MediaInfo, seconds: float) -> list[float]:
    """Return the times to cut at, in seconds from the start."""
    if params.times is not None:
        outside = [time for time in params.times if not 0 < time < seconds]
        if outside:
            message = (
                f"a time must be within the {seconds:.3f} s of the file; got {', '.join(f'{t:g}' for t in outside)}"
            )
            raise BadParams([Problem("times", "out_of_range", message)])
        return sorted(set(params.times))
    if params.silence is not None:
        found = await detect_silences(job.ffmpeg, source, params.silence.threshold, params.silence.duration)
        return _spaced([(start + end) / 2 for start, end in found], params.min_duration, seconds)
    if params.scenes is not None:
        return _spaced(
            await detect_scene_changes(job.ffmpeg, source, params.scenes.threshold), params.min_duration, seconds
        )
    every = params.every if params.every is not None else seconds / (params.count or 1)
    count = params.count or int(seconds / every) + 1
    return [every * n for n in range(1, count) if every * n < seconds - 0.001]


def _spaced(times: Sequence[float], min_gap: float, seconds: float) -> list[float]:
    """Return the times without those that would make a part shorter than `min_gap` seconds."""
    kept: list[float] = []
    for time in times:
        if time - (kept[-1] if kept else 0.0) >= min_gap and seconds - time >= min_gap and len(kept) < _MAX_PARTS - 1:
            kept.append(time)
    return kept


async def _keep(job: Context, part: SplitPart) -> Part:
    media_type = codecs.MEDIA_TYPES[part.format] if part.frame_count is not None else "audio/mp4"
    file = await job.keep(part.path, name=part.path.name, media_type=media_type)
    return Part(file=file, start=round(part.start, 6), duration=round(part.seconds, 6), frames=part.frame_count)


def _notes(params: SplitParams, source: MediaInfo, times: list[float], points: int) -> list[str]:
    if params.mode == "copy" and source.copy_obstacle is not None:
        return [f"the video was encoded: '{source.path.name}' {source.copy_obstacle}"]
    if points < len(times):
        cause = (
            "key frames are further apart" if params.mode == "copy" else "several times are nearest to the same frame"
        )
        return [f"cut at {points} points instead of {len(times)}: {cause}"]
    return [] if times else ["no point to cut at was found, so there is one part"]
