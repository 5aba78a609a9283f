"""Transcode: a video in another codec, container, size or quality."""

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from callsheet.domain.artifacts import Artifact, Probe
from callsheet.domain.errors import BadParams, MediaFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media import codecs
from callsheet.media.binary import capabilities
from callsheet.media.codecs import AudioCodec, Format, VideoCodec
from callsheet.media.encoders import Wish, software
from callsheet.media.fitting import HDR_TO_SDR
from callsheet.media.graph import Graph
from callsheet.media.inputs import file_url, media_input
from callsheet.media.probe import Footage, inspect, probe
from callsheet.media.runner import Report
from callsheet.media.verify import check_whole
from callsheet.media.words import FrameRate, Preset, Quality, read_rate
from callsheet.operations.contract import Context, operation

_BITS = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM]?)(?:b(?:it)?(?:/s|ps)?)?")
_SLACK = 0.25
"""Seconds by which a container may tell another duration; sound has frames of its own."""


def _read_bits(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if (match := _BITS.fullmatch(value.strip())) is None:
        raise ValueError(f"'{value}' is not a bit rate: write bits per second, or '800k', '2.5M'")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


BitRate = Annotated[int, BeforeValidator(_read_bits), Field(ge=8_000, le=500_000_000)]


class TranscodeParams(Model):
    """What the video is to become. With nothing asked for, what fits already is passed on without loss."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    format: Format = Field("mp4", validation_alias=AliasChoices("format", "output_format", "outputFormat"))
    video_codec: VideoCodec | None = Field(
        None,
        validation_alias=AliasChoices("videoCodec", "video_codec", "codec"),
        description="Unset: h264 in MP4 and MKV, av1 in WebM",
    )
    quality: Quality | None = Field(None, description="Unset: medium, where the picture has to be encoded")
    crf: int | None = Field(None, ge=0, le=63, description="The codec's constant rate factor; lower is better")
    bitrate: BitRate | None = Field(None, description="Of the picture, in bits per second, or '2.5M'")
    width: int | None = Field(
        None, ge=16, le=8192, description="Pixels. With height too, the picture fits into both; it keeps its shape"
    )
    height: int | None = Field(None, ge=16, le=8192)
    resolution: Literal["240p", "360p", "480p", "540p", "720p", "1080p", "1440p", "2160p"] | None = Field(
        None, description="The shorter side, in place of width and height"
    )
    fps: FrameRate | None = Field(None, validation_alias=AliasChoices("fps", "frame_rate", "frameRate"))
    preset: Preset | None = Field(
        None, description="ultrafast to veryslow, for every codec: how much work goes into a smaller file"
    )
    audio_codec: AudioCodec | None = Field(None, description="Unset: aac in MP4 and MKV, opus in WebM")
    audio_bitrate: BitRate | None = None
    mute: bool = False

    @model_validator(mode="after")
    def _goes_together(self) -> "TranscodeParams":
        _check_codec(self.video_codec, codecs.VIDEO_IN[self.format], self.format)
        _check_codec(self.audio_codec, codecs.AUDIO_IN[self.format], self.format)
        if sum(value is not None for value in (self.quality, self.crf, self.bitrate)) > 1:
            raise ValueError("give one of quality, crf and bitrate")
        if self.resolution is not None and (self.width or self.height):
            raise ValueError("give resolution, or width and height, not both")
        if self.crf is not None and self.crf > (worst := codecs.worst_crf(self.picture_codec)):
            raise ValueError(f"crf {self.crf} is beyond the {worst} that {self.picture_codec} knows")
        return self

    @property
    def picture_codec(self) -> VideoCodec:
        """The codec asked for, or the usual one of the container."""
        return self.video_codec or codecs.VIDEO_IN[self.format][0]

    @property
    def sound_codec(self) -> AudioCodec:
        """The codec asked for, or the usual one of the container."""
        return self.audio_codec or codecs.AUDIO_IN[self.format][0]


def _check_codec(codec: str | None, allowed: tuple[str, ...], format: str) -> None:
    if codec is not None and codec not in allowed:
        raise ValueError(f"{codec} does not go into {format}; {format} takes {', '.join(allowed)}")


class TranscodeResult(Model):
    """The video."""

    video: Artifact
    copied: bool = Field(description="Whether the picture was passed on as it was, without a new encode")


@operation(
    "transcode",
    queue="transcode",
    timeout=timedelta(minutes=30),
    needs={"ffmpeg"},
    aliases=("transcode_task", "transcode_video_task"),
)
async def transcode(job: Context, params: TranscodeParams) -> TranscodeResult:
    """Turn a video into another codec, container, size or quality."""
    source = await inspect(await job.open(params.src))
    if not source.has_picture or source.still:
        what = "a still picture" if source.still else "sound only"
        raise BadParams([Problem("src", "no_video", f"'{source.path.name}' is {what}, not a video")])
    work = plan(source, params)
    output = job.dir / f"video.{params.format}"
    known = (await capabilities(job.ffmpeg.binary)).encoders
    seconds = source.picture_seconds or source.probe.duration
    report = await job.ffmpeg.run(
        arguments(source, params, work, known, job.ffmpeg.threads, output),
        duration=seconds,
        on_progress=lambda share: job.progress(share * 0.99),
        cwd=job.dir,
    )
    await _check(output, source, work, report)
    video = await job.keep(output, name=output.name, media_type=codecs.MEDIA_TYPES[params.format])
    return TranscodeResult(video=video, copied=work.copies_picture)


@dataclass(frozen=True, slots=True)
class Work:
    """What has to be done to a source."""

    width: int
    height: int
    rate: Fraction | None
    """None: the frames keep their times."""
    copies_picture: bool
    sound: Literal["none", "copy", "encode"]
    codec: VideoCodec


def plan(source: Footage, params: TranscodeParams) -> Work:
    """Decide what a source needs to become what was asked for."""
    facts = source.probe
    width, height = _size(facts, params)
    rate = read_rate(params.fps) if params.fps is not None else None
    keeps_rate = rate is None or (facts.fps is not None and abs(float(rate) - facts.fps) < 0.001)
    asked = (params.quality, params.crf, params.bitrate, params.preset)
    copies = (
        codecs.codec_of(facts.video_codec) == params.picture_codec
        and facts.pixel_format in ("yuv420p", "yuvj420p")
        and (width, height) == (facts.width, facts.height)
        and keeps_rate
        and not any(value is not None for value in asked)
    )
    sound = _sound(source, params)
    return Work(width, height, None if keeps_rate else rate, copies, sound, params.picture_codec)


def _sound(source: Footage, params: TranscodeParams) -> Literal["none", "copy", "encode"]:
    if params.mute or not source.has_sound:
        return "none"
    same = codecs.codec_of(source.probe.audio_codec) == params.sound_codec
    return "copy" if same and params.audio_bitrate is None else "encode"


def _size(facts: Probe, params: TranscodeParams) -> tuple[int, int]:
    assert facts.width is not None and facts.height is not None  # noqa: S101 - the source has a picture
    factor = 1.0
    if params.resolution is not None:
        factor = int(params.resolution[:-1]) / min(facts.width, facts.height)
    elif params.width or params.height:
        factor = min(
            params.width / facts.width if params.width else float("inf"),
            params.height / facts.height if params.height else float("inf"),
        )
    return _even(facts.width * factor), _even(facts.height * factor)


def _even(size: float) -> int:
    """Most codecs halve the colours, so an odd line would be left over."""
    return max(2, round(size / 2) * 2) if size % 2 != 1 else int(size) - 1 or 2


def arguments(
    source: Footage, params: TranscodeParams, work: Work, known: frozenset[str], threads: int, output: Path
) -> list[str]:
    """Return what follows FFmpeg's global flags."""
    words = media_input(source.path)
    if work.copies_picture:
        words += ["-map", "0:V:0", "-c:v", "copy"]
    else:
        words += _filters(source, work)
        even = params.crf is None and params.bitrate is None
        wish = Wish(
            work.codec,
            quality=params.quality or ("medium" if even else None),
            crf=params.crf,
            bitrate=params.bitrate,
            preset=params.preset or "medium",
        )
        words += software(wish, known).words(rate=work.rate, threads=threads)
        words += ["-fps_mode", "cfr" if work.rate else "vfr"]
    if work.sound != "none":
        words += ["-map", "0:a:0"]
        words += ["-c:a", "copy"] if work.sound == "copy" else _sound_words(source, params)
    return [*words, *codecs.container_words(params.format, work.codec), file_url(output)]


def _sound_words(source: Footage, params: TranscodeParams) -> list[str]:
    mixed_down = ["-ac", "2"] if (source.probe.audio_channels or 0) > 2 else []
    return [*codecs.audio_words(params.sound_codec, params.audio_bitrate), *mixed_down]


def _filters(source: Footage, work: Work) -> list[str]:
    graph = Graph()
    stream = "0:V:0"
    if source.hdr:
        stream = graph.chain(stream, *HDR_TO_SDR)
    if work.rate is not None:
        stream = graph.add("fps", stream, fps=work.rate)
    stream = graph.add(
        "scale",
        stream,
        w=work.width,
        h=work.height,
        in_color_matrix=None if source.hdr else source.matrix,
        out_color_matrix="bt709",
        out_range="tv",
    )
    stream = graph.chain(stream, ("setsar", {"sar": 1}), ("format", {"pix_fmts": "yuv420p"}))
    return ["-filter_complex", str(graph), "-map", f"[{stream}]"]


async def _check(output: Path, source: Footage, work: Work, report: Report) -> None:
    """Raise MediaFailed unless the output is what was planned: FFmpeg reports success with wrong files, too."""
    check_whole(report.stderr, f"'{source.path.name}'")
    found = await probe(output)
    wrong = [*_differences(found, source, work)]
    if wrong:
        raise MediaFailed(f"FFmpeg reported success, but the video is wrong: {'; '.join(wrong)}")


def _differences(found: Probe, source: Footage, work: Work) -> list[str]:
    wrong: list[str] = []
    if codecs.codec_of(found.video_codec) != work.codec:
        wrong.append(f"{found.video_codec} instead of {work.codec}")
    if (found.width, found.height) != (work.width, work.height):
        wrong.append(f"{found.width}x{found.height} instead of {work.width}x{work.height}")
    if (found.audio_codec is not None) != (work.sound != "none"):
        wrong.append("sound where none was planned" if found.audio_codec else "no sound")
    planned = source.probe.duration if work.sound != "none" else source.picture_seconds
    if planned and found.duration and abs(found.duration - planned) > max(_SLACK, 1 / (found.fps or 30)):
        wrong.append(f"{found.duration:.3f} s instead of {planned:.3f} s")
    if work.rate is None and found.frames and source.probe.frames and abs(found.frames - source.probe.frames) > 1:
        wrong.append(f"{found.frames} frames instead of {source.probe.frames}")
    return wrong
