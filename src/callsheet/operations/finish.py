"""Finish: a film is brought to its final shape, loudness and compression."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.encoding import encoders
from callsheet.media.encoding.loudness import Target, loudness_target, read_audio_filter
from callsheet.media.filters.audio_filter_allowlist import validate_audio_filter
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.final_mux import render_with_copied_video
from callsheet.media.rendering.frame_size import even_size, parse_ratio
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import Fit, FrameRate, LoudnessWish, Preset, Quality, read_rate
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class FinishParams(Model):
    """A film, and what is to become of it."""

    video: MediaSource = Field(
        validation_alias=AliasChoices("video", "src", "source", "path", "url", "video_path", "videoPath")
    )
    aspect_ratio: str | None = Field(
        None, pattern=r"^[1-9]\d{0,3}:[1-9]\d{0,3}$", description="Unset: that of the settings", examples=["9:16"]
    )
    width: int | None = Field(None, ge=16, le=8192, description="Unset: by the ratio, without enlarging the film")
    height: int | None = Field(None, ge=16, le=8192)
    fit: Fit = "cover"
    fps: FrameRate | None = Field(None, description="Unset: as it is")
    loudness: LoudnessWish | None = Field(None, description="LUFS; unset: by the settings, false: as it is")
    audio_filter: Annotated[str, AfterValidator(validate_audio_filter)] | None = Field(
        None,
        max_length=1000,
        description="FFmpeg's words for the sound. `loudnorm=…` is read as targets and reached by measuring",
        examples=["loudnorm=I=-14:TP=-1:LRA=11", "highpass=f=80,acompressor"],
    )
    preset: Preset | None = Field(None, description="x264's; unset: that of the settings")
    quality: Quality | None = None
    crf: int | None = Field(None, ge=0, le=51)

    @model_validator(mode="after")
    def _one_of_each(self) -> "FinishParams":
        for one, other in (("quality", "crf"), ("loudness", "audio_filter")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"give {one} or {other}, not both")
        return self


class FinishResult(Model):
    """The finished film."""

    video: Artifact
    duration: float = Field(description="Seconds")
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than one may expect, and why")


@operation("finish", queue="render", priority=10, timeout=timedelta(hours=1), needs={"ffmpeg"})
async def finish(job: Context, params: FinishParams) -> FinishResult:
    """Bring a film to its final shape, loudness and compression. A film without sound stays without."""
    source = await read_media(job, params.video, "video", "video")
    film = _film(job, params, source)
    if _fits(source, film) and not _compressed_anew(params):
        made = await render_with_copied_video(film, source, job.ffmpeg, job.dir, progress_callback(job))
        notes = ["the picture had its final shape, and was not encoded again"]
    else:
        preset = params.preset or job.settings.ffmpeg_video_preset
        wish = encoders.EncodeSettings(quality=params.quality, crf=params.crf, preset=preset)
        encoder = await encoders.select_encoder(job.ffmpeg, wish)
        made = await Renderer(film, encoder, job.ffmpeg, job.dir, progress_callback(job)).render()
        notes = list(made.notes)
    video = await job.keep(made.path, name="finished.mp4", media_type="video/mp4")
    return FinishResult(video=video, duration=film.schedule.seconds, notes=notes)


def _film(job: Context, params: FinishParams, source: MediaInfo) -> RenderPlan:
    rate = read_rate(params.fps) if params.fps is not None else source.rate
    plan = build_schedule([Scene.model_validate({"src": params.video})], [source], rate)
    ratio = parse_ratio(params.aspect_ratio or job.settings.ffmpeg_aspect_ratio)
    short = min(source.probe.width or 0, source.probe.height or 0)
    width, height = even_size(params.width, params.height, ratio, short)
    return RenderPlan(plan, Canvas(width, height, rate, params.fit), loudness=_level(job, params))


def _level(job: Context, params: FinishParams) -> Target | str | None:
    if params.audio_filter is not None:
        return read_audio_filter(params.audio_filter) or None
    return loudness_target(params.loudness, read_audio_filter(job.settings.ffmpeg_audio_filter))


def _fits(source: MediaInfo, film: RenderPlan) -> bool:
    """Tell whether the picture is already what it would be made."""
    found, picture, canvas = source.probe, source.picture, film.canvas
    return (
        picture is not None
        and picture.pixel_aspect_ratio in (None, "1:1")
        and picture.color_range in (None, "tv")
        and (found.width, found.height) == (canvas.width, canvas.height)
        and (found.video_codec, found.pixel_format, found.rotation) == ("h264", "yuv420p", 0)
        and abs((found.frames or 0) - film.schedule.frames) <= 1
        and source.rate == canvas.rate
        and source.lead < 1 / (2 * canvas.rate)
        and not source.hdr
    )


def _compressed_anew(params: FinishParams) -> bool:
    return (params.preset, params.quality, params.crf) != (None, None, None)
