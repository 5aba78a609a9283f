"""Probe: read the properties of a media file, and optionally measure it."""

import math
from datetime import timedelta

from pydantic import AliasChoices, Field

from callsheet.domain.artifacts import Probe
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.encoding.loudness import Loudness, measure
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.filters.source_frames import audio_stream
from callsheet.media.normalization.normalize import normalize
from callsheet.media.probing.output_checks import is_damaged
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Chapter, Stream
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class ProbeParams(Model):
    """The file to probe."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "file", "video", "video_path", "videoPath")
    )
    loudness: bool = Field(
        False, description="Measure the first audio stream by EBU R 128, which decodes it completely"
    )
    count_frames: bool = Field(False, description="Count the frames by decoding all of them")


class MeasuredLoudness(Model):
    """A loudness measurement. Values are null for silence."""

    integrated: float | None = Field(description="LUFS", examples=[-16.2])
    true_peak: float | None = Field(description="dBTP", examples=[-1.5])
    range: float = Field(description="Loudness range (LRA) in LU", examples=[6.1])


class CountedFrames(Model):
    """The result of decoding every frame."""

    frames: int
    damaged: bool = Field(description="Whether the decoder found damage; some frames may then look wrong")


class ProbeResult(Probe):
    """The properties of the file."""

    name: str = Field(description="File name without folders")
    size: int = Field(description="Bytes")
    still: bool = Field(description="Whether it is a still image, which has no duration")
    streams: list[Stream]
    chapters: list[Chapter]
    tags: dict[str, str] = Field(description="Metadata tags, without those that identify place, author or device")
    loudness: MeasuredLoudness | None = Field(None, description="If requested and there is an audio stream")
    counted: CountedFrames | None = Field(None, description="If requested and there is a video stream")
    notes: list[str] = Field(default_factory=list, description="What is missing in the file, or changes on the way")


@operation("probe", queue="preview", timeout=timedelta(minutes=5), needs={"ffmpeg"})
async def probe(job: Context, params: ProbeParams) -> ProbeResult:
    """Return the properties of a media file: streams, sizes, rates, colors, tags and chapters."""
    facts_only = not (params.loudness or params.count_frames)
    media = await read_media(job, params.src, "src", original=True, facts_only=facts_only)
    given = media.original or media
    probe = given.probe.model_copy(update={"duration": media.probe.duration})
    facts = {key: value for key, value in probe.model_dump(by_alias=False).items() if value is not None}
    return ProbeResult(
        **facts,
        name=given.path.name,
        size=given.path.stat().st_size,
        still=media.still,
        streams=list(given.streams),
        chapters=list(media.chapters),
        tags=dict(media.tags),
        loudness=_measured_loudness(await measure(job.ffmpeg, media.path, audio_stream(media)))
        if params.loudness and media.has_audio
        else None,
        counted=await _count_frames(job, media) if params.count_frames and media.has_video else None,
        notes=list(media.notes),
    )


def _measured_loudness(measured: Loudness) -> MeasuredLoudness:
    return MeasuredLoudness(
        integrated=None if measured.is_silence else round(measured.integrated, 1),
        true_peak=round(measured.true_peak, 1) if math.isfinite(measured.true_peak) else None,
        range=measured.range,
    )


async def _count_frames(job: Context, media: MediaInfo) -> CountedFrames:
    media = await normalize(media, job.ffmpeg, job.dir)
    args = [*media_input(media.path), "-map", f"0:{media.video_index}", "-fps_mode", "passthrough"]
    report = await job.ffmpeg.run(
        [*args, "-f", "null", "-"], duration=media.video_seconds, on_progress=progress_callback(job)
    )
    return CountedFrames(frames=report.frames or 0, damaged=is_damaged(report.stderr))
