"""Mux: sound and subtitles put to a picture that stays as it is."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, FFmpegFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.clips.mux import AudioInput, MuxCommand, SubtitleInput, TrackTags
from callsheet.media.clips.subtitle_track import read_subtitle_file
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.stream_copy_rules import accepts_audio_codec, accepts_video_codec, container_for
from callsheet.media.probing.frame_index import FrameIndex, read_frame_index
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.values import parse_seconds
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback

_SOURCE = AliasChoices("src", "source", "path", "url")

_Title = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00\r\n]*$")]
_Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")]


def _by_source(value: Any) -> Any:
    return {"src": value} if isinstance(value, str) else value


class AudioTrack(Model):
    """Sound that is put to the picture."""

    src: MediaSource = Field(validation_alias=_SOURCE)
    offset: float = Field(
        0.0,
        ge=-86_400,
        le=86_400,
        description="Seconds into the film at which it begins; below 0, its beginning is left out",
    )
    volume: float = Field(1.0, ge=0, le=10, description="1 leaves it as it is")
    language: _Language | None = Field(None, examples=["en"])
    title: _Title | None = None
    default: bool | None = Field(None, description="Unset: the first track is")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        value = _by_source(value)
        if isinstance(value, dict) and isinstance(value.get("offset"), str):
            return {**value, "offset": parse_seconds(value["offset"])}
        return value


class SubtitleTrack(Model):
    """Subtitles that a viewer can switch on."""

    src: MediaSource = Field(validation_alias=_SOURCE, description="An SRT, WebVTT or ASS file")
    language: _Language | None = Field(None, examples=["en"])
    title: _Title | None = None
    default: bool = False
    forced: bool = Field(False, description="Shown to everybody, as translations of signs are")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        return _by_source(value)


class MuxParams(Model):
    """A video with what is put to it."""

    video: MediaSource = Field(
        validation_alias=AliasChoices("video", "src", "source", "path", "url", "video_path", "videoPath")
    )
    audio: list[AudioTrack] = Field(default_factory=list, max_length=32, description="A track, or several")
    subtitles: list[SubtitleTrack] = Field(default_factory=list, max_length=64)
    keep_audio: bool = Field(False, description="Keep the sound of the video as well, before the new tracks")
    duration: Literal["video", "shortest", "longest"] = Field(
        "video",
        description="Where the film ends: with its picture, with whatever ends first, or with whatever ends last, "
        "while the last picture stays",
    )
    format: Format | None = Field(
        None,
        validation_alias=AliasChoices("format", "output_format", "outputFormat"),
        description="Unset: mp4, or webm or mkv for pictures that mp4 does not hold",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        single = {key: [value[key]] for key in ("audio", "subtitles") if isinstance(value.get(key), str | dict)}
        return {**value, **single}

    @model_validator(mode="after")
    def _something_to_do(self) -> "MuxParams":
        if not self.audio and not self.subtitles:
            raise ValueError("give audio, subtitles or both")
        return self


class MuxResult(Model):
    """The film."""

    video: Artifact
    duration: float = Field(description="Seconds")
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than one may expect, and why")


@operation("mux", queue="transcode", timeout=timedelta(minutes=30), needs={"ffmpeg"})
async def mux(job: Context, params: MuxParams) -> MuxResult:
    """Put sound tracks and subtitles to a video, whose picture is passed on without a new encode."""
    video = await read_media(job, params.video, "video", "video")
    format = _format(params, video)
    sounds = await _sounds(job, params, video, format)
    subtitles = [await _subtitles(job, number, track) for number, track in enumerate(params.subtitles)]
    frames = await read_frame_index(job.ffmpeg, video)
    shown, seconds = _end(params, sounds, frames)
    film = MuxCommand(video, format, sounds, subtitles, seconds, max_frames=shown if shown < len(frames) else None)
    output = job.dir / f"film.{format}"
    report = await job.ffmpeg.run(film.args(output), duration=seconds, on_progress=progress_callback(job), cwd=job.dir)
    check_stderr(report.stderr, f"'{video.path.name}'")
    await _check(job, output, film, shown)
    kept = await job.keep(output, name=output.name, media_type=codecs.MEDIA_TYPES[format])
    return MuxResult(video=kept, duration=seconds, notes=_notes(film))


def _format(params: MuxParams, video: MediaInfo) -> Format:
    codec = video.probe.video_codec
    format = params.format or container_for(codec)
    if not accepts_video_codec(format, codec):
        message = f"{format} does not hold {codec} pictures; transcode the video first"
        if accepts_video_codec("mkv", codec):
            raise BadParams([Problem("format", "codec_does_not_fit", f"{message}, or choose mkv")])
        raise BadParams([Problem("video", "codec_does_not_fit", message)])
    return format


async def _sounds(job: Context, params: MuxParams, video: MediaInfo, format: Format) -> list[AudioInput]:
    sounds: list[AudioInput] = []
    if params.keep_audio or not params.audio:
        for track in video.audio_streams:
            name = TrackTags(track.language, track.title, _is_default(None, sounds, params))
            sounds.append(
                AudioInput(video, track, name, from_video=True, stream_copy=accepts_audio_codec(format, track.codec))
            )
    for number, wish in enumerate(params.audio):
        found = await read_media(job, wish.src, f"audio[{number}].src", "sound")
        track = found.audio_streams[0]
        name = TrackTags(wish.language or track.language, wish.title, _is_default(wish, sounds, params))
        as_it_is = wish.volume == 1 and wish.offset >= 0 and accepts_audio_codec(format, track.codec)
        sounds.append(
            AudioInput(
                found, track, name, from_video=False, stream_copy=as_it_is, offset=wish.offset, volume=wish.volume
            )
        )
    return sounds


def _is_default(wish: AudioTrack | None, before: list[AudioInput], params: MuxParams) -> bool:
    """The first track is, where nobody says otherwise."""
    if wish is not None and wish.default is not None:
        return wish.default
    return not before and not any(track.default for track in params.audio)


async def _subtitles(job: Context, number: int, track: SubtitleTrack) -> SubtitleInput:
    path = await job.fetch_input(track.src)
    sidecar = await asyncio.to_thread(read_subtitle_file, path, job.dir / f"subtitles{number:02d}.txt")
    return SubtitleInput(sidecar, TrackTags(track.language, track.title, track.default, track.forced))


def _end(params: MuxParams, sounds: list[AudioInput], frames: FrameIndex) -> tuple[int, float]:
    """Return how many frames the film has, and how many seconds."""
    picture = float(frames.length)
    ends = [sound.end for sound in sounds if not sound.from_video]
    if params.duration == "shortest" and (shortest := min(filter(None, ends), default=picture)) < picture:
        shown = frames.nearest_end(shortest)
        return shown, float(frames.time_of(shown))
    return len(frames), max([picture, *ends]) if params.duration == "longest" else picture


async def _check(job: Context, output: Path, film: MuxCommand, shown: int) -> None:
    """Raise FFmpegFailed unless the film holds what was put into it."""
    found = await probe_details(output)
    wrong: list[str] = []
    if len(found.audio_streams) != len(film.audio):
        wrong.append(f"{len(found.audio_streams)} sound tracks instead of {len(film.audio)}")
    texts = sum(stream.type == "subtitle" for stream in found.streams)
    if texts != len(film.subtitles):
        wrong.append(f"{texts} subtitle tracks instead of {len(film.subtitles)}")
    if found.probe.video_codec != film.video.probe.video_codec:
        wrong.append(f"{found.probe.video_codec} pictures instead of {film.video.probe.video_codec}")
    if (frames := len(await read_frame_index(job.ffmpeg, found))) != shown:
        wrong.append(f"{frames} frames instead of {shown}")
    if wrong:
        raise FFmpegFailed(f"FFmpeg reported success, but the film is wrong: {'; '.join(wrong)}")


def _notes(film: MuxCommand) -> list[str]:
    notes = [
        f"the sound of '{sound.source.path.name}' was encoded anew: {film.format} does not hold {sound.stream.codec}"
        for sound in film.audio
        if not accepts_audio_codec(film.format, sound.stream.codec)
    ]
    if film.format != "mkv" and any(text.file.kind == "ass" for text in film.subtitles):
        notes.append(f"{film.format} keeps the words of ASS subtitles, but not their styles; mkv keeps both")
    return notes
