"""Finish: bring a video to its final frame size, loudness and compression."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.media.encoding import encoders
from callsheet.media.encoding.downmix import downmix_notes
from callsheet.media.encoding.loudness import Target, loudness_target, read_audio_filter
from callsheet.media.filters.audio_filter_parser import validate_audio_filter
from callsheet.media.filters.sdr import sdr_filters
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.final_mux import render_with_copied_video
from callsheet.media.rendering.frame_size import even_size, parse_ratio
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import Fit, FrameRate, LoudnessOption, Preset, Quality, Strict, parse_rate
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class FinishParams(Model):
    """A video and its final properties."""

    video: MediaSource = Field(
        validation_alias=AliasChoices("video", "src", "source", "path", "url", "video_path", "videoPath")
    )
    aspect_ratio: Annotated[str, TextForm(r"^[1-9]\d{0,3}:[1-9]\d{0,3}$", "a ratio such as 16:9")] | None = Field(
        None, description="Default: from the settings", examples=["9:16"]
    )
    width: int | None = Field(None, ge=16, le=8192, description="Default: from the aspect ratio, without upscaling")
    height: int | None = Field(None, ge=16, le=8192)
    fit: Fit = "cover"
    fps: FrameRate | None = Field(None, description="Default: unchanged")
    loudness: LoudnessOption | None = Field(None, description="LUFS. Default: from the settings; false: unchanged")
    audio_filter: Annotated[str, AfterValidator(validate_audio_filter)] | None = Field(
        None,
        max_length=1000,
        description="FFmpeg audio filters. `loudnorm=…` is read as a target, which is reached by measuring",
        examples=["loudnorm=I=-14:TP=-1:LRA=11", "highpass=f=80,acompressor"],
    )
    preset: Preset | None = Field(None, description="x264 preset. Default: from the settings")
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51)
    strict: Strict = False

    @model_validator(mode="after")
    def _exclusive_fields(self) -> "FinishParams":
        for one, other in (("quality", "crf"), ("loudness", "audio_filter")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"give {one} or {other}, not both")
        return self


class FinishResult(Model):
    """The finished video."""

    video: Artifact
    duration: float = Field(description="Seconds")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation("finish", queue="render", priority=10, timeout=timedelta(hours=1), needs={"ffmpeg"})
async def finish(job: Context, params: FinishParams) -> FinishResult:
    """Bring a video to its final frame size, loudness and compression. A video without audio stays without audio."""
    source = await read_media(job, params.video, "video", "video", strict=params.strict)
    plan = _render_plan(job, params, source)
    if _is_final_format(source, plan) and not _requests_encode(params):
        made = await render_with_copied_video(plan, source, job.ffmpeg, job.dir, progress_callback(job))
        notes = ["the video already had its final format and was not encoded again", *made.notes]
    else:
        preset = params.preset or job.settings.ffmpeg_video_preset
        settings = encoders.EncodeSettings(quality=params.quality, crf=params.crf, preset=preset)
        encoder = await encoders.select_encoder(job.ffmpeg, settings)
        made = await Renderer(plan, encoder, job.ffmpeg, job.dir, progress_callback(job)).render()
        notes = list(made.notes)
    video = await job.keep(made.path, name="finished.mp4", media_type="video/mp4")
    opened = [*source.notes, *downmix_notes(source.path.name, source.audio_layout)]
    return FinishResult(video=video, duration=plan.schedule.seconds, notes=[*opened, *notes])


def _render_plan(job: Context, params: FinishParams, source: MediaInfo) -> RenderPlan:
    rate = parse_rate(params.fps) if params.fps is not None else source.constant_rate
    scenes = build_schedule([Scene.model_validate({"src": params.video})], [source], rate)
    ratio = parse_ratio(params.aspect_ratio or job.settings.ffmpeg_aspect_ratio)
    short = min(source.probe.width or 0, source.probe.height or 0)
    width, height = even_size(params.width, params.height, ratio, short)
    return RenderPlan(scenes, Canvas(width, height, rate, params.fit), loudness=_level(job, params))


def _level(job: Context, params: FinishParams) -> Target | str | None:
    if params.audio_filter is not None:
        return read_audio_filter(params.audio_filter) or None
    return loudness_target(params.loudness, read_audio_filter(job.settings.ffmpeg_audio_filter))


def _is_final_format(source: MediaInfo, plan: RenderPlan) -> bool:
    """Return whether the video already has the planned format."""
    probe, video, canvas = source.probe, source.video, plan.canvas
    return (
        video is not None
        and video.pixel_aspect_ratio in (None, "1:1")
        and video.color_range in (None, "tv")
        and (probe.width, probe.height) == (canvas.width, canvas.height)
        and (probe.video_codec, probe.pixel_format, probe.turned) == ("h264", "yuv420p", False)
        and abs((probe.frames or 0) - plan.schedule.frames) <= 1
        and source.rate == canvas.rate
        and source.video_delay < 1 / (2 * canvas.rate)
        and not sdr_filters(source)
        and not source.interlaced
        and not source.hidden_frames
    )


def _requests_encode(params: FinishParams) -> bool:
    return (params.preset, params.quality, params.crf) != (None, None, None)
