"""Extract audio: the sound of a file by itself."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.probing.output_checks import ExpectedAudio, check_stderr, verify_audio
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream
from callsheet.media.values import BitRate, Seconds
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback

AudioFormat = Literal["wav", "mp3", "m4a", "opus", "flac"]


@dataclass(frozen=True, slots=True)
class _Kind:
    muxer: str
    encoder: str
    media_type: str
    held: frozenset[str]
    """Codecs that it takes as they are."""
    bitrate: int | None
    """Bits per second for each channel, where nothing is asked for."""


_KINDS: dict[AudioFormat, _Kind] = {
    "wav": _Kind("wav", "pcm_s16le", "audio/wav", frozenset({"pcm_s16le", "pcm_s24le", "pcm_f32le"}), None),
    "mp3": _Kind("mp3", "libmp3lame", "audio/mpeg", frozenset({"mp3"}), 96_000),
    "m4a": _Kind("ipod", "aac", "audio/mp4", frozenset({"aac", "alac"}), 96_000),
    "opus": _Kind("opus", "libopus", "audio/ogg", frozenset({"opus"}), 64_000),
    "flac": _Kind("flac", "flac", "audio/flac", frozenset({"flac"}), None),
}
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_LATE = 0.005
"""Seconds from which on sound counts as beginning later than the file."""


class ExtractAudioParams(Model):
    """Which sound of a file, and what it is to become. With nothing asked for, it is passed on without loss."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "audio", "video_path", "videoPath")
    )
    format: AudioFormat | None = Field(
        None,
        validation_alias=AliasChoices("format", "output_format", "outputFormat"),
        description="Unset: the one that holds the sound as it is, else m4a",
    )
    track: int = Field(0, ge=0, description="Which of the sound tracks, from 0")
    start: Seconds = Field(0.0, validation_alias=AliasChoices("start", "trim_start", "trimStart"))
    duration: Seconds | None = Field(
        None, validation_alias=AliasChoices("duration", "length"), description="Unset: to the end"
    )
    channels: int | None = Field(
        None, ge=1, le=2, description="1: mixed down to mono, 2: to stereo. Unset: as they are", examples=[1]
    )
    sample_rate: int | None = Field(
        None, ge=8000, le=96_000, description="Hertz. Unset: as it is. Recognisers of speech want 16000"
    )
    bitrate: BitRate | None = Field(
        None,
        validation_alias=AliasChoices("bitrate", "audio_bitrate", "audioBitrate"),
        description="Bits per second, or '128k'; not for wav and flac",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> "ExtractAudioParams":
        if self.duration == 0:
            raise ValueError("duration must be above 0")
        if self.bitrate is not None and self.format in ("wav", "flac"):
            raise ValueError(f"{self.format} is without loss and takes no bitrate")
        if self.format == "opus" and self.sample_rate not in (None, *_OPUS_RATES):
            raise ValueError(f"opus knows the sample rates {', '.join(map(str, _OPUS_RATES))}")
        if self.format == "mp3" and (self.sample_rate or 0) > 48_000:
            raise ValueError("mp3 knows sample rates up to 48000")
        return self


class ExtractAudioResult(Model):
    """The sound."""

    audio: Artifact
    duration: float = Field(description="Seconds")
    copied: bool = Field(description="Whether the sound was passed on as it was, without a new encode")


@operation(
    "extract-audio",
    queue="transcode",
    timeout=timedelta(minutes=30),
    needs={"ffmpeg"},
    aliases=("extract_audio",),
)
async def extract_audio(job: Context, params: ExtractAudioParams) -> ExtractAudioResult:
    """Take the sound out of a video or a sound file. Sound that begins late keeps its distance to the picture."""
    source = await read_media(job, params.src, "src", "sound")
    sound = _track(source, params)
    format = params.format or _home_of(sound)
    copied = _copies(source, sound, params, format)
    output = job.dir / f"audio.{format}"
    seconds = _length(source, sound, params)
    words = [*media_input(source.path, start=params.start, length=params.duration), "-map", f"0:{sound.index}"]
    words += ["-c:a", "copy"] if copied else _encoding(sound, params, format)
    report = await job.ffmpeg.run(
        [*words, *_tags(format), "-f", _KINDS[format].muxer, file_url(output)],
        duration=seconds,
        on_progress=progress_callback(job),
        cwd=job.dir,
    )
    check_stderr(report.stderr, f"'{source.path.name}'")
    probe = await verify_audio(output, ExpectedAudio(seconds, params.channels, params.sample_rate))
    audio = await job.keep(output, name=output.name, media_type=_KINDS[format].media_type)
    return ExtractAudioResult(audio=audio, duration=probe.duration or seconds, copied=copied)


def _track(source: MediaInfo, params: ExtractAudioParams) -> Stream:
    if params.track >= len(source.audio_streams):
        count = f"the file has {len(source.audio_streams)} sound track{'s' if len(source.audio_streams) > 1 else ''}"
        raise BadParams([Problem("track", "no_such_track", f"{count}, counted from 0; got {params.track}")])
    return source.audio_streams[params.track]


def _home_of(sound: Stream) -> AudioFormat:
    return next((format for format, kind in _KINDS.items() if sound.codec in kind.held), "m4a")


def _copies(source: MediaInfo, sound: Stream, params: ExtractAudioParams, format: AudioFormat) -> bool:
    whole = params.start == 0 and params.duration is None and source.stream_delay(sound) < _LATE
    asked = (params.channels, params.sample_rate, params.bitrate)
    return whole and sound.codec in _KINDS[format].held and all(value is None for value in asked)


def _encoding(sound: Stream, params: ExtractAudioParams, format: AudioFormat) -> list[str]:
    kind = _KINDS[format]
    most = 2 if format == "mp3" else 8
    channels = params.channels or min(most, sound.channels or 2)
    rate = params.sample_rate or _usual_rate(sound, format)
    bits = params.bitrate or (kind.bitrate and kind.bitrate * channels)
    filters = f"aresample={rate}:async=1:first_pts=0"
    filters += f",atrim=end_sample={round(params.duration * rate)}" if params.duration else ""
    return [
        *("-af", filters, "-ac", str(channels), "-ar", str(rate)),
        *("-c:a", kind.encoder, *(("-b:a", str(bits)) if bits else ())),
        *(("-mapping_family", "1") if format == "opus" and channels > 2 else ()),
    ]


def _usual_rate(sound: Stream, format: AudioFormat) -> int:
    rate = sound.sample_rate or 48_000
    if format == "opus":
        return rate if rate in _OPUS_RATES else 48_000
    return min(rate, 48_000 if format == "mp3" else 96_000)


def _length(source: MediaInfo, sound: Stream, params: ExtractAudioParams) -> float:
    end = source.stream_delay(sound) + sound.duration if sound.duration else source.probe.duration or 0.0
    if params.start >= end:
        message = f"start is {params.start:g} s, but the sound ends at {end:g} s"
        raise BadParams([Problem("start", "out_of_range", message)])
    return min(end - params.start, params.duration or end)


def _tags(format: AudioFormat) -> list[str]:
    tags = ["-map_metadata", "-1", "-map_chapters", "-1", "-vn", "-sn", "-dn"]
    return [*tags, "-movflags", "+faststart"] if format == "m4a" else tags
