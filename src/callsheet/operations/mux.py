"""Mux: sound and subtitles put to a picture that stays as it is."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, MediaFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media import codecs
from callsheet.media.codecs import Format
from callsheet.media.containers import home_of, layout_of, sound_words, takes_picture, takes_sound
from callsheet.media.frames import Frames, list_frames
from callsheet.media.inputs import file_url, media_input
from callsheet.media.probe import Footage, inspect
from callsheet.media.sidecar import Sidecar, read_sidecar, sidecar_input
from callsheet.media.streams import Stream
from callsheet.media.text.languages import three_letters
from callsheet.media.verify import check_whole
from callsheet.media.words import read_seconds
from callsheet.operations.contract import Context, operation
from callsheet.operations.reading import read_media
from callsheet.operations.telling import telling

_SOURCE = AliasChoices("src", "source", "path", "url")
_SUBTITLES: dict[Format, str] = {"mp4": "mov_text", "webm": "webvtt", "mkv": "srt"}

Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00\r\n]*$")]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")]


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
    language: Language | None = Field(None, examples=["en"])
    title: Name | None = None
    default: bool | None = Field(None, description="Unset: the first track is")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        value = _by_source(value)
        if isinstance(value, dict) and isinstance(value.get("offset"), str):
            return {**value, "offset": read_seconds(value["offset"])}
        return value


class SubtitleTrack(Model):
    """Subtitles that a viewer can switch on."""

    src: MediaSource = Field(validation_alias=_SOURCE, description="An SRT, WebVTT or ASS file")
    language: Language | None = Field(None, examples=["en"])
    title: Name | None = None
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


@dataclass(frozen=True, slots=True)
class _Sound:
    """A sound track on its way into the film."""

    source: Footage
    track: Stream
    copied: bool
    wish: AudioTrack | None
    """None for one that the video brought along."""

    @property
    def offset(self) -> float:
        return self.wish.offset if self.wish else 0.0

    @property
    def end(self) -> float:
        length = self.track.start + self.track.duration if self.track.duration else self.source.probe.duration or 0.0
        return max(0.0, length + self.offset)


@operation("mux", queue="transcode", timeout=timedelta(minutes=30), needs={"ffmpeg"})
async def mux(job: Context, params: MuxParams) -> MuxResult:
    """Put sound tracks and subtitles to a video, whose picture is passed on without a new encode."""
    video = await read_media(job, params.video, "video", "video")
    format = _format(params, video)
    sounds = await _sounds(job, params, video, format)
    subtitles = [await _subtitles(job, number, track) for number, track in enumerate(params.subtitles)]
    frames = await list_frames(job.ffmpeg, video)
    shown, seconds = _end(params, sounds, frames)
    output = job.dir / f"film.{format}"
    report = await job.ffmpeg.run(
        [
            *_inputs(video, sounds, subtitles, seconds),
            *_outputs(params, video, sounds, subtitles, format, seconds, most=shown if shown < len(frames) else None),
            file_url(output),
        ],
        duration=seconds,
        on_progress=telling(job),
        cwd=job.dir,
    )
    check_whole(report.stderr, f"'{video.path.name}'")
    await _check(job, output, video, sounds, subtitles, shown)
    kept = await job.keep(output, name=output.name, media_type=codecs.MEDIA_TYPES[format])
    return MuxResult(video=kept, duration=seconds, notes=_notes(sounds, subtitles, format))


def _format(params: MuxParams, video: Footage) -> Format:
    codec = video.probe.video_codec
    if params.format is not None and not takes_picture(params.format, codec):
        message = f"{params.format} does not hold {codec} pictures; transcode the video first, or choose mkv"
        raise BadParams([Problem("format", "codec_does_not_fit", message)])
    return params.format or home_of(codec)


async def _sounds(job: Context, params: MuxParams, video: Footage, format: Format) -> list[_Sound]:
    sounds: list[_Sound] = []
    if params.keep_audio or not params.audio:
        sounds += [_Sound(video, track, takes_sound(format, track.codec), None) for track in video.sounds]
    for number, wish in enumerate(params.audio):
        found = await read_media(job, wish.src, f"audio[{number}].src", "sound")
        track = found.sounds[0]
        as_it_is = wish.volume == 1 and wish.offset >= 0 and takes_sound(format, track.codec)
        sounds.append(_Sound(found, track, as_it_is, wish))
    return sounds


async def _subtitles(job: Context, number: int, track: SubtitleTrack) -> Sidecar:
    path = await job.open(track.src)
    return await asyncio.to_thread(read_sidecar, path, job.dir / f"subtitles{number:02d}.txt")


def _end(params: MuxParams, sounds: list[_Sound], frames: Frames) -> tuple[int, float]:
    """Return how many frames the film has, and how many seconds."""
    picture = float(frames.length)
    ends = [sound.end for sound in sounds if sound.wish is not None]
    if params.duration == "shortest" and (shortest := min(filter(None, ends), default=picture)) < picture:
        shown = frames.nearest_end(shortest)
        return shown, float(frames.time_of(shown))
    return len(frames), max([picture, *ends]) if params.duration == "longest" else picture


def _inputs(video: Footage, sounds: list[_Sound], subtitles: list[Sidecar], seconds: float) -> list[str]:
    words = media_input(video.path)
    for sound in sounds:
        if sound.wish is None:
            continue
        length = max(0.001, seconds - sound.offset)
        late = ["-itsoffset", f"{sound.offset:.6f}"] if sound.offset > 0 else []
        words += [*late, *media_input(sound.source.path, start=max(0.0, -sound.offset), length=length)]
    for sidecar in subtitles:
        words += sidecar_input(sidecar)
    return words


def _outputs(
    params: MuxParams,
    video: Footage,
    sounds: list[_Sound],
    subtitles: list[Sidecar],
    format: Format,
    seconds: float,
    *,
    most: int | None,
) -> list[str]:
    """Return the words for the tracks of the film; `most` are the frames that it ends after, None for all."""
    words = ["-map", f"0:{video.picture_index}", "-c:v", "copy"]
    # A limit on frames ends the sound as well.
    words += ["-frames:v", str(most)] if most is not None else []
    added = 0
    for number, sound in enumerate(sounds):
        added += sound.wish is not None
        words += ["-map", f"{added if sound.wish else 0}:{sound.track.index}"]
        words += [f"-c:a:{number}", "copy"] if sound.copied else _encoded(sound, number, format, seconds)
        words += _told(f"a:{number}", _names(sound), default=_is_default(sound, number, params))
    for number, (track, sidecar) in enumerate(zip(params.subtitles, subtitles, strict=True)):
        codec = "copy" if sidecar.kind == "ass" and format == "mkv" else _SUBTITLES[format]
        words += ["-map", f"{added + 1 + number}:0", f"-c:s:{number}", codec]
        words += _told(f"s:{number}", (track.language, track.title), default=track.default, forced=track.forced)
    ending = [] if params.duration == "longest" else ["-t", f"{seconds:.6f}"]
    tags = ["-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-f", codecs.MUXERS[format]]
    if format == "mp4":
        tags += ["-movflags", "+faststart"]
        tags += ["-tag:v", "hvc1"] if video.probe.video_codec == "hevc" else []
    return [*words, *ending, *tags]


def _encoded(sound: _Sound, number: int, format: Format, seconds: float) -> list[str]:
    volume = sound.wish.volume if sound.wish else 1.0
    filters = ["aresample=48000:async=1:first_pts=0", *([f"volume={volume:.4f}"] if volume != 1 else [])]
    layout = layout_of(sound.track)
    filters += [f"aformat=channel_layouts={layout}", f"atrim=end={seconds:.6f}"]
    return [f"-filter:a:{number}", ",".join(filters), *sound_words(format, layout, track=number)]


def _names(sound: _Sound) -> tuple[str | None, str | None]:
    if sound.wish is None:
        return sound.track.language, sound.track.title
    return sound.wish.language or sound.track.language, sound.wish.title


def _is_default(sound: _Sound, number: int, params: MuxParams) -> bool:
    if sound.wish is not None and sound.wish.default is not None:
        return sound.wish.default
    return number == 0 and not any(track.default for track in params.audio)


def _told(stream: str, names: tuple[str | None, str | None], *, default: bool, forced: bool = False) -> list[str]:
    """Return the words that tell a player about a track: language and title, and whether it is chosen by itself."""
    language, title = names
    flags = "+".join([*(["default"] if default else []), *(["forced"] if forced else [])])
    words = [f"-disposition:{stream}", flags or "0"]
    words += [f"-metadata:s:{stream}", f"language={three_letters(language)}"] if language else []
    # MP4 keeps the title of a track where others keep the name of its handler.
    for key in ("title", "handler_name") if title else ():
        words += [f"-metadata:s:{stream}", f"{key}={title}"]
    return words


async def _check(
    job: Context,
    output: Path,
    video: Footage,
    sounds: list[_Sound],
    subtitles: list[Sidecar],
    shown: int,
) -> None:
    """Raise MediaFailed unless the film holds what was put into it."""
    found = await inspect(output)
    wrong: list[str] = []
    if len(found.sounds) != len(sounds):
        wrong.append(f"{len(found.sounds)} sound tracks instead of {len(sounds)}")
    texts = sum(stream.type == "subtitle" for stream in found.streams)
    if texts != len(subtitles):
        wrong.append(f"{texts} subtitle tracks instead of {len(subtitles)}")
    if found.probe.video_codec != video.probe.video_codec:
        wrong.append(f"{found.probe.video_codec} pictures instead of {video.probe.video_codec}")
    if (frames := len(await list_frames(job.ffmpeg, found))) != shown:
        wrong.append(f"{frames} frames instead of {shown}")
    if wrong:
        raise MediaFailed(f"FFmpeg reported success, but the film is wrong: {'; '.join(wrong)}")


def _notes(sounds: list[_Sound], subtitles: list[Sidecar], format: Format) -> list[str]:
    notes = [
        f"the sound of '{sound.source.path.name}' was encoded anew: {format} does not hold {sound.track.codec}"
        for sound in sounds
        if not takes_sound(format, sound.track.codec)
    ]
    if format != "mkv" and any(sidecar.kind == "ass" for sidecar in subtitles):
        notes.append(f"{format} keeps the words of ASS subtitles, but not their styles; mkv keeps both")
    return notes
