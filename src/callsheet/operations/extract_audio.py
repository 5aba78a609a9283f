"""Extract audio: write an audio stream of a file to an audio file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import AliasChoices, Field, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.encoding import audio_bitrates
from callsheet.media.encoding.downmix import Filter, downmix_filters, downmix_notes, filter_text, mono_filters
from callsheet.media.ffmpeg.inputs import audio_input, file_url
from callsheet.media.probing.output_checks import ExpectedAudio, check_stderr, verify_audio
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream
from callsheet.media.values import BitRate, Seconds, Strict
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback

AudioFormat = Literal["wav", "mp3", "m4a", "opus", "flac"]


@dataclass(frozen=True, slots=True)
class _FormatInfo:
    muxer: str
    encoder: str
    media_type: str
    stream_copy_codecs: frozenset[str]
    """Codecs that it accepts by stream copy."""
    bitrate: int | None
    """Default bits per second per channel. None: lossless."""


_FORMATS: dict[AudioFormat, _FormatInfo] = {
    "wav": _FormatInfo("wav", "pcm_s16le", "audio/wav", frozenset({"pcm_s16le", "pcm_s24le", "pcm_f32le"}), None),
    "mp3": _FormatInfo("mp3", "libmp3lame", "audio/mpeg", frozenset({"mp3"}), audio_bitrates.PER_CHANNEL["mp3"]),
    "m4a": _FormatInfo("ipod", "aac", "audio/mp4", frozenset({"aac", "alac"}), audio_bitrates.PER_CHANNEL["aac"]),
    "opus": _FormatInfo("opus", "libopus", "audio/ogg", frozenset({"opus"}), audio_bitrates.PER_CHANNEL["opus"]),
    "flac": _FormatInfo("flac", "flac", "audio/flac", frozenset({"flac"}), None),
}
_OPUS_SAMPLE_RATES = (8000, 12000, 16000, 24000, 48000)
_MIN_DELAY = 0.005
"""Seconds. A smaller delay of the audio is ignored."""


class ExtractAudioParams(Model):
    """An audio stream and its output format. By default the stream is copied without encoding."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "audio", "video_path", "videoPath")
    )
    format: AudioFormat | None = Field(
        None,
        validation_alias=AliasChoices("format", "output_format", "outputFormat"),
        description="Default: the format that accepts the stream without encoding, else m4a",
    )
    track: int | None = Field(
        None, ge=0, description="Number of the audio stream, from 0. Default: the one that players select"
    )
    start: Seconds = Field(0.0, validation_alias=AliasChoices("start", "trim_start", "trimStart"))
    duration: Seconds | None = Field(
        None, validation_alias=AliasChoices("duration", "length"), description="Default: to the end"
    )
    channels: int | None = Field(
        None, ge=1, le=2, description="1: downmix to mono; 2: to stereo. Default: unchanged", examples=[1]
    )
    sample_rate: int | None = Field(
        None, ge=8000, le=96_000, description="Hertz. Default: unchanged. Speech recognition needs 16000"
    )
    bitrate: BitRate | None = Field(
        None,
        validation_alias=AliasChoices("bitrate", "audio_bitrate", "audioBitrate"),
        description="Bits per second, or '128k'. Not for wav and flac",
    )

    strict: Strict = False

    @model_validator(mode="after")
    def _check_combination(self) -> "ExtractAudioParams":
        if self.duration == 0:
            raise ValueError("duration must be above 0")
        if self.bitrate is not None and self.format in ("wav", "flac"):
            raise ValueError(f"{self.format} is lossless and has no bitrate")
        if self.format == "opus" and self.sample_rate not in (None, *_OPUS_SAMPLE_RATES):
            raise ValueError(f"opus supports the sample rates {', '.join(map(str, _OPUS_SAMPLE_RATES))}")
        if self.format == "mp3" and (self.sample_rate or 0) > 48_000:
            raise ValueError("mp3 supports sample rates up to 48000")
        return self


class ExtractAudioResult(Model):
    """The audio file."""

    audio: Artifact
    duration: float = Field(description="Seconds")
    copied: bool = Field(description="Whether the audio was copied without encoding")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation(
    "extract-audio",
    queue="transcode",
    timeout=timedelta(minutes=30),
    needs={"ffmpeg"},
    aliases=("extract_audio",),
)
async def extract_audio(job: Context, params: ExtractAudioParams) -> ExtractAudioResult:
    """Write an audio stream of a video or audio file to a file. Audio that starts after the video keeps its delay."""
    source = await read_media(job, params.src, "src", "audio", strict=params.strict)
    stream = _select_stream(source, params)
    format = params.format or _copy_format(stream)
    copied = _is_stream_copy(source, stream, params, format)
    output = job.dir / f"audio.{format}"
    seconds = _output_seconds(source, stream, params)
    args, early = audio_input(source.path, params.start, params.duration)
    args += ["-map", f"0:{stream.index}"]
    downmix, notes = ([], []) if copied else await _downmix(job, source, stream, params)
    end = source.audio_end(stream)
    length = params.duration if end is None else min(end - params.start, params.duration or end)
    args += ["-c:a", "copy"] if copied else _encode_args(stream, params, format, early, downmix, length)
    report = await job.ffmpeg.run(
        [*args, *_output_args(format), "-f", _FORMATS[format].muxer, file_url(output)],
        duration=seconds,
        on_progress=progress_callback(job),
        cwd=job.dir,
    )
    damage = check_stderr(report.stderr, f"'{source.path.name}'", strict=params.strict)
    expected = ExpectedAudio(None if damage else seconds, params.channels, params.sample_rate)
    probe = await verify_audio(output, expected)
    audio = await job.keep(output, name=output.name, media_type=_FORMATS[format].media_type)
    return ExtractAudioResult(
        audio=audio, duration=probe.duration or seconds, copied=copied, notes=[*source.notes, *notes, *damage]
    )


async def _downmix(
    job: Context, source: MediaInfo, stream: Stream, params: ExtractAudioParams
) -> tuple[list[Filter], list[str]]:
    if params.channels == 1:
        return await mono_filters(job.ffmpeg, source, stream)
    return downmix_filters(stream.channel_layout), [*downmix_notes(source.path.name, stream.channel_layout)]


def _select_stream(source: MediaInfo, params: ExtractAudioParams) -> Stream:
    if params.track is None:
        return source.audio
    if params.track >= len(source.audio_streams):
        count = f"the file has {len(source.audio_streams)} audio stream{'s' if len(source.audio_streams) > 1 else ''}"
        raise BadParams([Problem("track", "no_such_track", f"{count}, counted from 0; got {params.track}")])
    return source.audio_streams[params.track]


def _copy_format(stream: Stream) -> AudioFormat:
    return next((format for format, info in _FORMATS.items() if stream.codec in info.stream_copy_codecs), "m4a")


def _is_stream_copy(source: MediaInfo, stream: Stream, params: ExtractAudioParams, format: AudioFormat) -> bool:
    whole = (
        source.can_copy_audio(stream, format)
        and params.start == 0
        and params.duration is None
        and source.stream_delay(stream) < _MIN_DELAY
    )
    requested = (params.channels, params.sample_rate, params.bitrate)
    return whole and stream.codec in _FORMATS[format].stream_copy_codecs and all(value is None for value in requested)


def _encode_args(
    stream: Stream,
    params: ExtractAudioParams,
    format: AudioFormat,
    early: float,
    downmix: Sequence[Filter],
    length: float | None,
) -> list[str]:
    """Return the output options. `length` is where the audio ends, in seconds; None: where the file ends."""
    info = _FORMATS[format]
    max_channels = 2 if format == "mp3" else 8
    mixed = 2 if downmix else stream.channels or 2
    channels = params.channels or min(max_channels, mixed)
    rate = params.sample_rate or _default_sample_rate(stream, format)
    bits = params.bitrate or (info.bitrate and info.bitrate * channels)
    filters = f"asetpts=PTS-{early:.6f}/TB,aresample={rate}:async=1:first_pts=0,{filter_text(downmix)}".rstrip(",")
    filters += f",atrim=end_sample={round(length * rate)}" if length else ""
    return [
        *("-af", filters, "-ac", str(channels), "-ar", str(rate)),
        *("-c:a", info.encoder, *(("-b:a", str(bits)) if bits else ())),
        *(("-mapping_family", "1") if format == "opus" and channels > 2 else ()),
    ]


def _default_sample_rate(stream: Stream, format: AudioFormat) -> int:
    rate = stream.sample_rate or 48_000
    if format == "opus":
        return rate if rate in _OPUS_SAMPLE_RATES else 48_000
    return min(rate, 48_000 if format == "mp3" else 96_000)


def _output_seconds(source: MediaInfo, stream: Stream, params: ExtractAudioParams) -> float:
    end = source.stream_delay(stream) + stream.duration if stream.duration else source.probe.duration or 0.0
    if params.start >= end:
        message = f"start is {params.start:g} s, but the audio ends at {end:g} s"
        raise BadParams([Problem("start", "out_of_range", message)])
    return min(end - params.start, params.duration or end)


def _output_args(format: AudioFormat) -> list[str]:
    args = ["-map_metadata", "-1", "-map_chapters", "-1", "-vn", "-sn", "-dn"]
    return [*args, "-movflags", "+faststart"] if format == "m4a" else args
