"""Split: one file becomes several, each a whole number of frames, and nothing is lost between them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.clips.detection import detect_scene_changes, detect_silences
from callsheet.media.clips.split import SplitPart, Splitter
from callsheet.media.encoding import codecs
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.encoding.stream_copy_rules import accepts_video_codec
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.values import Preset, Quality, Seconds
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback

_MOST = 1000


class Silence(Model):
    """What counts as silence."""

    threshold: float = Field(-35.0, ge=-90, le=-5, description="dBFS; quieter is silent")
    duration: Seconds = Field(0.5, description="Seconds that it must last")


class SceneChange(Model):
    """What counts as another scene."""

    threshold: float = Field(0.3, gt=0, lt=1, description="How much of the picture changes; smaller finds more")


class SplitParams(Model):
    """A video or a sound file, and where to cut it: by one of `every`, `count`, `times`, `silence` and `scenes`."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "audio", "video_path", "videoPath")
    )
    every: Seconds | None = Field(
        None,
        validation_alias=AliasChoices(
            "every", "seconds", "chunk_seconds", "chunkSeconds", "segment_time", "segmentTime"
        ),
        description="Length of each piece in seconds; the last one is what is left",
    )
    count: int | None = Field(None, ge=2, le=_MOST, validation_alias=AliasChoices("count", "chunks", "parts"))
    times: list[Seconds] | None = Field(
        None, min_length=1, max_length=_MOST - 1, description="Where to cut, in seconds"
    )
    silence: Silence | None = Field(None, description="Cut in the middle of each silence; `true` for the usual one")
    scenes: SceneChange | None = Field(None, description="Cut where another scene begins; `true` for the usual one")
    min_duration: Seconds = Field(1.0, description="Shortest piece, for silence and scenes")
    mode: Literal["exact", "copy"] = Field(
        "exact",
        description="exact: cut at the frame nearest to each time, and encode; copy: pass the picture on as it is, cut "
        "at the nearest key frame. Sound is cut to the sample either way",
    )
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51)
    preset: Preset | None = Field(None, description="x264's; unset: that of the settings")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        usual: dict[str, Any] = {key: {} for key in ("silence", "scenes") if value.get(key) is True}
        unwanted = {key: None for key in ("silence", "scenes") if value.get(key) is False}
        return {**value, **usual, **unwanted}

    @model_validator(mode="after")
    def _one_way(self) -> "SplitParams":
        ways = ("every", "count", "times", "silence", "scenes")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(ways)}; got {', '.join(given) or 'none'}")
        if self.every is not None and self.every < 0.1:
            raise ValueError("every must be at least 0.1 s")
        if self.quality is not None and self.crf is not None:
            raise ValueError("give quality or crf, not both")
        return self


class Part(Model):
    """One of the pieces."""

    file: Artifact
    start: float = Field(description="Seconds into the source")
    duration: float = Field(description="Seconds")
    frames: int | None = Field(None, description="Pictures in it; None for sound alone")


class SplitResult(Model):
    """The pieces in their order. Together they are as long as the source, with as many frames."""

    files: list[Artifact]
    parts: list[Part]
    copied: bool = Field(description="Whether the picture was passed on as it was, without a new encode")
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than asked, and why")


@operation("split", queue="transcode", timeout=timedelta(hours=1), needs={"ffmpeg"}, aliases=("chunk",))
async def split(job: Context, params: SplitParams) -> SplitResult:
    """Cut a video or a sound file into pieces: by length, by number, at given times, at silences or at scenes."""
    source = await read_media(job, params.src, "src")
    _check(params, source)
    cutter = await _cutter(job, params, source)
    wanted = await _times(job, params, source, cutter.seconds)
    cuts = cutter.split_points(wanted)
    pieces = await cutter.split(cuts, progress_callback(job, 0.1))
    parts = [await _kept(job, piece) for piece in pieces]
    return SplitResult(
        files=[part.file for part in parts],
        parts=parts,
        copied=cutter.stream_copy,
        notes=_notes(params, wanted, len(cuts)),
    )


def _check(params: SplitParams, source: MediaInfo) -> None:
    problems: list[Problem] = []
    if source.still:
        problems.append(Problem("src", "not_a_video", f"this is a still picture, not a video: '{source.path.name}'"))
    if params.silence is not None and not source.has_audio:
        problems.append(Problem("silence", "no_sound", "there is no sound in this file"))
    if params.scenes is not None and not source.has_video:
        problems.append(Problem("scenes", "no_picture", "there is no picture in this file"))
    if params.mode == "copy" and source.has_video and not accepts_video_codec("mkv", source.probe.video_codec):
        message = f"{source.probe.video_codec} pictures cannot be passed on as they are; exact encodes them"
        problems.append(Problem("mode", "codec_does_not_fit", message))
    if params.every is not None and (source.probe.duration or 0) / params.every > _MOST:
        problems.append(Problem("every", "too_many_pieces", f"that makes more than {_MOST} pieces"))
    if problems:
        raise BadParams(problems)


async def _cutter(job: Context, params: SplitParams, source: MediaInfo) -> Splitter:
    if not source.has_video:
        return Splitter(source, job.ffmpeg, job.dir)
    frames = await read_frame_index(job.ffmpeg, source)
    if params.mode == "copy":
        return Splitter(source, job.ffmpeg, job.dir, frames)
    preset = params.preset or job.settings.ffmpeg_video_preset
    encoder = await select_encoder(job.ffmpeg, EncodeSettings(quality=params.quality, crf=params.crf, preset=preset))
    return Splitter(source, job.ffmpeg, job.dir, frames, encoder)


async def _times(job: Context, params: SplitParams, source: MediaInfo, seconds: float) -> list[float]:
    """Return where to cut, in seconds from the beginning."""
    if params.times is not None:
        late = [time for time in params.times if not 0 < time < seconds]
        if late:
            message = f"a time must be within the {seconds:.3f} s of the file; got {', '.join(f'{t:g}' for t in late)}"
            raise BadParams([Problem("times", "out_of_range", message)])
        return sorted(set(params.times))
    if params.silence is not None:
        found = await detect_silences(job.ffmpeg, source, params.silence.threshold, params.silence.duration)
        return _apart([(start + end) / 2 for start, end in found], params.min_duration, seconds)
    if params.scenes is not None:
        return _apart(
            await detect_scene_changes(job.ffmpeg, source, params.scenes.threshold), params.min_duration, seconds
        )
    every = params.every if params.every is not None else seconds / (params.count or 1)
    number = params.count or int(seconds / every) + 1
    return [every * n for n in range(1, number) if every * n < seconds - 0.001]


def _apart(times: Sequence[float], least: float, seconds: float) -> list[float]:
    """Leave out what would make a piece shorter than `least`."""
    kept: list[float] = []
    for time in times:
        if time - (kept[-1] if kept else 0.0) >= least and seconds - time >= least and len(kept) < _MOST - 1:
            kept.append(time)
    return kept


async def _kept(job: Context, piece: SplitPart) -> Part:
    media_type = codecs.MEDIA_TYPES[piece.format] if piece.frame_count is not None else "audio/mp4"
    file = await job.keep(piece.path, name=piece.path.name, media_type=media_type)
    return Part(file=file, start=round(piece.start, 6), duration=round(piece.seconds, 6), frames=piece.frame_count)


def _notes(params: SplitParams, wanted: list[float], cuts: int) -> list[str]:
    if cuts < len(wanted):
        cause = "key frames are further apart" if params.mode == "copy" else "several fell on the same frame"
        return [f"cut in {cuts} places instead of {len(wanted)}: {cause}"]
    return [] if wanted else ["nothing was found to cut at, so there is one piece"]
