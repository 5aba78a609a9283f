"""Mux: add audio and subtitle tracks to a video, which is copied without encoding."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, StringConstraints, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource, is_source
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.media.clips.mux import AudioInput, MuxCommand, SubtitleInput, TrackTags
from callsheet.media.clips.subtitle_track import read_subtitle_file
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.downmix import downmix_notes
from callsheet.media.encoding.stream_copy_rules import accepts_audio_codec, accepts_video_codec, container_for
from callsheet.media.probing.frame_index import FrameIndex, read_frame_index
from callsheet.media.probing.output_checks import check_stderr, frame_count_problems, raise_on_problems
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.subtitles.subtitle_parsers import late_notes
from callsheet.media.values import Strict, parse_seconds
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback

_SOURCE_ALIASES = AliasChoices("src", "source", "path", "url")

_Title = Annotated[str, StringConstraints(max_length=200), TextForm(r"^[^\x00\r\n]*$", "one line of text")]
_Language = Annotated[str, TextForm(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$", "a language code such as en or pt-BR")]


def _expand_source(value: Any) -> Any:
    return {"src": value} if is_source(value) else value


class AudioTrack(Model):
    """An audio track to add."""

    src: MediaSource = Field(validation_alias=_SOURCE_ALIASES)
    offset: float = Field(
        0.0,
        ge=-86_400,
        le=86_400,
        description="Start time in the output, in seconds. If negative, that much of its beginning is cut off",
    )
    volume: float = Field(1.0, ge=0, le=10, description="Factor; 1 is unchanged")
    language: _Language | None = Field(None, examples=["en"])
    title: _Title | None = None
    default: bool | None = Field(None, description="Default: true for the first track")

    @model_validator(mode="before")
    @classmethod
    def _expand_short_forms(cls, value: Any) -> Any:
        value = _expand_source(value)
        if isinstance(value, dict) and isinstance(value.get("offset"), str):
            return {**value, "offset": parse_seconds(value["offset"])}
        return value


class SubtitleTrack(Model):
    """A subtitle track to add, which viewers can switch on."""

    src: MediaSource = Field(validation_alias=_SOURCE_ALIASES, description="An SRT, WebVTT or ASS file")
    language: _Language | None = Field(None, examples=["en"])
    title: _Title | None = None
    default: bool = False
    forced: bool = Field(False, description="Always shown, as translations of signs")

    @model_validator(mode="before")
    @classmethod
    def _expand_short_forms(cls, value: Any) -> Any:
        return _expand_source(value)


class MuxParams(Model):
    """A video and the tracks to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"video": "./input.mp4", "audio": ["./music.mp3"]}]})

    video: MediaSource = Field(
        validation_alias=AliasChoices("video", "src", "source", "path", "url", "video_path", "videoPath")
    )
    audio: list[AudioTrack] = Field(default_factory=list, max_length=32, description="One track, or several")
    subtitles: list[SubtitleTrack] = Field(default_factory=list, max_length=64)
    keep_audio: bool = Field(False, description="Keep the audio of the video, before the new tracks")
    duration: Literal["video", "shortest", "longest"] = Field(
        "video",
        description="End of the output: the end of the video, the track that ends first, or the track that ends last, "
        "while the last frame stays visible",
    )
    format: Format | None = Field(
        None,
        validation_alias=AliasChoices("format", "output_format", "outputFormat"),
        description="Default: mp4; webm or mkv for video codecs that mp4 does not support",
    )
    strict: Strict = False

    @model_validator(mode="before")
    @classmethod
    def _accept_single_tracks(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        single = {key: [value[key]] for key in ("audio", "subtitles") if isinstance(value.get(key), str | dict)}
        return {**value, **single}

    @model_validator(mode="after")
    def _check_tracks(self) -> "MuxParams":
        if not self.audio and not self.subtitles:
            raise ValueError("give audio, subtitles or both")
        return self


class MuxResult(Model):
    """The video with its tracks."""

    video: Artifact
    duration: float = Field(description="Seconds")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation("mux", queue="transcode", timeout=timedelta(minutes=30), needs={"ffmpeg"})
async def mux(job: Context, params: MuxParams) -> MuxResult:
    """Add audio and subtitle tracks to a video, which is copied without encoding."""
    video = await read_media(job, params.video, "video", "video", strict=params.strict)
    format = _format(params, video)
    audio = await _audio_inputs(job, params, video, format)
    subtitles = [await _subtitle_input(job, number, track, format) for number, track in enumerate(params.subtitles)]
    index = await read_frame_index(job.ffmpeg, video)
    frames, seconds = _end(params, video, audio, index)
    max_packets = index.packets_before(frames) if frames < len(index) else None
    command = MuxCommand(video, format, audio, subtitles, seconds, max_packets)
    output = job.dir / f"film.{format}"
    report = await job.ffmpeg.run(
        command.args(output), duration=seconds, on_progress=progress_callback(job), cwd=job.dir
    )
    damage = check_stderr(report.stderr, "the video or its audio", strict=params.strict)
    await _verify(job, output, command, frames)
    kept = await job.keep(output, name=output.name, media_type=codecs.MEDIA_TYPES[format])
    return MuxResult(video=kept, duration=seconds, notes=[*_notes(command), *damage])


def _format(params: MuxParams, video: MediaInfo) -> Format:
    codec = video.probe.video_codec
    format = params.format or container_for(codec)
    if video.hidden_frames and format != "mp4":
        message = f"{format} cannot hide the frames that this file hides; choose mp4, or transcode the video first"
        raise BadParams([Problem("format", "codec_does_not_fit", message)])
    if not accepts_video_codec(format, codec):
        message = f"{format} does not support {codec} video; transcode the video first"
        if accepts_video_codec("mkv", codec):
            raise BadParams([Problem("format", "codec_does_not_fit", f"{message}, or choose mkv")])
        raise BadParams([Problem("video", "codec_does_not_fit", message)])
    return format


async def _audio_inputs(job: Context, params: MuxParams, video: MediaInfo, format: Format) -> list[AudioInput]:
    inputs: list[AudioInput] = []
    if params.keep_audio or not params.audio:
        for stream in sorted(video.audio_streams, key=lambda stream: stream.index != video.audio_index):
            tags = TrackTags(stream.language, stream.title, _is_default(None, inputs, params))
            copied = accepts_audio_codec(format, stream.codec) and video.can_copy_audio(stream, format)
            inputs.append(AudioInput(video, stream, tags, from_video=True, stream_copy=copied))
    for number, track in enumerate(params.audio):
        source = await read_media(job, track.src, f"audio[{number}].src", "audio", strict=params.strict)
        stream = source.audio
        tags = TrackTags(track.language or stream.language, track.title, _is_default(track, inputs, params))
        # A negative offset and a volume need decoded samples.
        copied = track.volume == 1 and track.offset >= 0 and accepts_audio_codec(format, stream.codec)
        copied = copied and source.can_copy_audio(stream, format)
        inputs.append(AudioInput(source, stream, tags, False, copied, offset=track.offset, volume=track.volume))
    return inputs


def _is_default(track: AudioTrack | None, previous: list[AudioInput], params: MuxParams) -> bool:
    """Return whether a track is the default: as its params say, else the first track."""
    if track is not None and track.default is not None:
        return track.default
    return not previous and not any(other.default for other in params.audio)


async def _subtitle_input(job: Context, number: int, track: SubtitleTrack, format: Format) -> SubtitleInput:
    path, copy = await job.fetch_input(track.src), job.dir / f"subtitles{number:02d}.txt"
    file = await asyncio.to_thread(read_subtitle_file, path, copy, format)
    return SubtitleInput(file, TrackTags(track.language, track.title, track.default, track.forced))


def _end(params: MuxParams, video: MediaInfo, audio: list[AudioInput], index: FrameIndex) -> tuple[int, float]:
    """Return the number of frames and the duration of the output."""
    delay = video.video_delay
    video_end = delay + float(index.length)
    ends = [track.end for track in audio if not track.from_video]
    if params.duration == "shortest" and (shortest := min(filter(None, ends), default=video_end)) < video_end:
        frames = index.nearest_end(shortest - delay)
        return frames, delay + float(index.time_of(frames))
    return len(index), max([video_end, *ends]) if params.duration == "longest" else video_end


async def _verify(job: Context, output: Path, command: MuxCommand, frames: int) -> None:
    """Raise FFmpegFailed unless the output contains all planned tracks and frames."""
    found = await probe_details(output)
    problems: list[str] = []
    if len(found.audio_streams) != len(command.audio):
        problems.append(f"{len(found.audio_streams)} audio tracks instead of {len(command.audio)}")
    subtitles = sum(stream.type == "subtitle" for stream in found.streams)
    if subtitles != len(command.subtitles):
        problems.append(f"{subtitles} subtitle tracks instead of {len(command.subtitles)}")
    if found.probe.video_codec != command.video.probe.video_codec:
        problems.append(f"{found.probe.video_codec} video instead of {command.video.probe.video_codec}")
    if (found.probe.rotation, found.probe.mirrored) != (command.video.probe.rotation, command.video.probe.mirrored):
        problems.append(f"{command.format} cannot hold how the video is turned; use mp4, or transcode the video first")
    problems += frame_count_problems(len(await read_frame_index(job.ffmpeg, found)), frames)
    raise_on_problems("the output", problems)


def _notes(command: MuxCommand) -> list[str]:
    format = command.format
    notes = [note for source in [command.video, *(t.source for t in command.audio)] for note in source.notes]
    notes += [
        f"the audio of '{track.source.path.name}' was encoded: {format} does not support {track.stream.codec}"
        for track in command.audio
        if not accepts_audio_codec(format, track.stream.codec)
    ]
    for track in command.audio:
        if not track.stream_copy:
            notes += downmix_notes(track.source.path.name, track.stream.channel_layout)
    for subtitle in command.subtitles:
        notes += subtitle.file.notes
        notes += late_notes(subtitle.file.starts, command.seconds)
    if format != "mkv" and any(subtitle.file.has_styles for subtitle in command.subtitles):
        notes.append(f"{format} keeps the text of ASS subtitles, but not their styles; mkv keeps both")
    return list(dict.fromkeys(notes))
