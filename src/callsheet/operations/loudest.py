"""Loudest: find the loudest part of a recording."""

from datetime import timedelta

from pydantic import AliasChoices, ConfigDict, Field

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.clips.loudest import STEP, loudest_part, measure_moments
from callsheet.media.values import Seconds
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media


class LoudestParams(Model):
    """A recording, and how long the part is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"src": "./input.mp4", "duration": 60}]})

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "audio", "video_path", "videoPath"),
        description="A video or audio file",
    )
    duration: Seconds = Field(
        60.0,
        validation_alias=AliasChoices("duration", "length", "seconds"),
        description="Seconds. A shorter recording is one part",
    )
    snap: Seconds = Field(
        1.0,
        le=10,
        description="Start and end move by at most so many seconds, to the quietest moment there, so that no word is "
        "cut. 0: the part has exactly its duration",
    )
    track: int | None = Field(
        None, ge=0, description="Number of the audio stream, from 0. Default: the one that players select"
    )


class LoudestResult(Model):
    """The loudest part. Other jobs use it as `${id.start}` and `${id.duration}`."""

    start: float = Field(description="Seconds from the start of the recording")
    end: float = Field(description="Seconds from the start of the recording")
    duration: float = Field(description="Seconds")
    loudness: float | None = Field(description="Of the part, in LUFS; null for silence", examples=[-14.2])
    average: float | None = Field(description="Of the whole recording, in the same way", examples=[-21.7])


@operation("loudest", queue="transcode", timeout=timedelta(hours=1), needs={"ffmpeg"})
async def loudest(job: Context, params: LoudestParams) -> LoudestResult:
    """Find the loudest part of a video or audio file by EBU R 128: often the most lively one of a conversation."""
    source = await read_media(job, params.src, "src", "audio")
    _check(params, len(source.audio_streams))
    moments = await measure_moments(job.ffmpeg, source, params.track)
    # Some streams do not state how long they are.
    length = source.length or len(moments) * STEP
    part = loudest_part(moments, length, params.duration, params.snap)
    return LoudestResult(
        start=part.start,
        end=round(part.end, 3),
        duration=round(part.end - part.start, 3),
        loudness=part.loudness,
        average=loudest_part(moments, length, length).loudness,
    )


def _check(params: LoudestParams, streams: int) -> None:
    problems = []
    if params.duration <= 0:
        problems.append(Problem("duration", "too_small", "must be above 0"))
    if params.track is not None and params.track >= streams:
        message = f"the file has {streams} audio stream{'s' if streams > 1 else ''}, counted from 0; got {params.track}"
        problems.append(Problem("track", "no_such_track", message))
    if problems:
        raise BadParams(problems)
