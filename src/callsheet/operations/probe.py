"""Probe: what a media file is, measured as far as asked."""

import math
from datetime import timedelta

from pydantic import AliasChoices, Field

from callsheet.domain.artifacts import Probe
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.encoding.loudness import Loudness, measure
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.probing.output_checks import is_damaged
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Chapter, Stream
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback


class ProbeParams(Model):
    """A file to look at."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "file", "video", "video_path", "videoPath")
    )
    loudness: bool = Field(False, description="Measure the first sound track by EBU R 128; decodes it all")
    count_frames: bool = Field(False, description="Count the frames by decoding all of them")


class MeasuredLoudness(Model):
    """How loud sound is. A value is None for silence."""

    integrated: float | None = Field(description="LUFS", examples=[-16.2])
    true_peak: float | None = Field(description="dBTP", examples=[-1.5])
    range: float = Field(description="LU between the quiet and the loud parts", examples=[6.1])


class CountedFrames(Model):
    """What decoding every frame has shown."""

    frames: int
    damaged: bool = Field(description="Whether the decoder met damage; some of the frames may look wrong then")


class ProbeResult(Probe):
    """What the file is."""

    name: str = Field(description="File name, without folders")
    size: int = Field(description="Bytes")
    still: bool = Field(description="Whether it is a picture without a length of its own")
    streams: list[Stream]
    chapters: list[Chapter]
    tags: dict[str, str] = Field(description="Without those that tell where, by whom or by what device it was made")
    loudness: MeasuredLoudness | None = Field(None, description="Only if asked for, and if there is sound")
    counted: CountedFrames | None = Field(None, description="Only if asked for, and if there is a picture")


@operation("probe", queue="preview", timeout=timedelta(minutes=5), needs={"ffmpeg"})
async def probe(job: Context, params: ProbeParams) -> ProbeResult:
    """Tell what a media file is: its tracks, sizes, rates, colours, tags and chapters."""
    found = await read_media(job, params.src, "src")
    facts = {key: value for key, value in found.probe.model_dump(by_alias=False).items() if value is not None}
    return ProbeResult(
        **facts,
        name=found.path.name,
        size=found.path.stat().st_size,
        still=found.still,
        streams=list(found.streams),
        chapters=list(found.chapters),
        tags=dict(found.tags),
        loudness=_told(await measure(job.ffmpeg, found.path)) if params.loudness and found.has_audio else None,
        counted=await _counted(job, found) if params.count_frames and found.has_video else None,
    )


def _told(measured: Loudness) -> MeasuredLoudness:
    return MeasuredLoudness(
        integrated=None if measured.is_silence else round(measured.integrated, 1),
        true_peak=round(measured.true_peak, 1) if math.isfinite(measured.true_peak) else None,
        range=measured.range,
    )


async def _counted(job: Context, found: MediaInfo) -> CountedFrames:
    words = [*media_input(found.path), "-map", f"0:{found.video_index}", "-fps_mode", "passthrough"]
    report = await job.ffmpeg.run(
        [*words, "-f", "null", "-"], duration=found.video_seconds, on_progress=progress_callback(job)
    )
    return CountedFrames(frames=report.frames or 0, damaged=is_damaged(report.stderr))
