"""Planning of a transcode: what changes, and what is stream-copied."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec
from callsheet.media.encoding.downmix import Filter
from callsheet.media.encoding.encoders import EncodeSettings
from callsheet.media.probing.frame_index import FrameIndex
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.transcoding.color_pipeline import ColorPlan, is_high_bit_depth, plan_color
from callsheet.media.transcoding.renditions import VideoRendition, plan_renditions
from callsheet.media.transcoding.spec import Delivery, TranscodeSpec
from callsheet.media.values import Fit, parse_rate

Channels = Literal["mono", "stereo", "5.1"]

_MAX_FRAME = 0.5
"""Seconds. A frame that lasts longer is a pause."""
_MIN_HELD = 0.05
"""Seconds. A last frame that is shown longer than the others by less need not be."""
_MIN_DELAY = 0.1
"""Seconds. A video that starts so much later than its audio leaves a gap."""

_DEFAULT_AUDIO_BITRATES: dict[AudioCodec, dict[Channels, int | None]] = {
    "aac": {"mono": 96_000, "stereo": 160_000, "5.1": 384_000},
    "opus": {"mono": 64_000, "stereo": 112_000, "5.1": 256_000},
    "flac": {"mono": None, "stereo": None, "5.1": None},
}
"""Bits per second; None for a lossless codec."""


@dataclass(frozen=True, slots=True)
class AudioEncoding:
    """Audio format of the output."""

    codec: AudioCodec
    bitrate: int | None
    channels: Channels
    sample_rate: int

    @property
    def channel_count(self) -> int:
        """The number of channels."""
        return {"mono": 1, "stereo": 2, "5.1": 6}[self.channels]


@dataclass(frozen=True, slots=True)
class TranscodePlan:
    """All decisions about the transcode of one video."""

    source: MediaInfo
    format: Delivery
    renditions: tuple[VideoRendition, ...]
    """Largest first."""
    copies_video: bool
    """Whether the video is stream-copied."""
    audio: AudioEncoding | Literal["copy"] | None
    color: ColorPlan
    frame_rate: Fraction | None = None
    """Constant frame rate of the output; None keeps the timestamps of the source."""
    fit: Fit | None = None
    background: str = "#000000"
    segment_seconds: float | None = None
    """Duration of an HLS segment, in seconds; None for a file."""
    passes: int = 1
    target_size: int | None = None
    """Maximum size of the only output, in bytes."""
    last_frame: tuple[float, float] | None = None
    """Start and end of the last frame, in seconds from the start of the file, if it is shown long."""
    fills_start: bool = False
    """Whether the first frame is shown from the start of the file on, if the video starts later than the audio."""
    downmix: tuple[Filter, ...] = ()
    """Filters that mix the audio before FFmpeg converts its channel layout."""
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Duration of the output, in seconds."""
        whole = self.source.probe.duration or 0.0
        return whole if self.audio is not None else self.source.video_seconds or whole

    @property
    def frame_count(self) -> int | None:
        """Number of frames of the output; None if it is unknown for this source."""
        if self.source.damaged:
            return None
        if self.frame_rate is not None:
            return round(self.video_seconds * self.frame_rate) if self.video_seconds else None
        found = None if self.source.hidden_frames else self.source.probe.frames
        return found + 1 if found is not None and self.last_frame is not None else found

    @property
    def video_seconds(self) -> float | None:
        """Duration of the video stream of the output, in seconds."""
        seconds = self.source.video_seconds
        return seconds + self.source.video_delay if seconds and self.fills_start else seconds

    @property
    def fps(self) -> float:
        """Average frame rate of the output."""
        return float(self.frame_rate or self.source.probe.fps or 30)


def plan_transcode(spec: TranscodeSpec, source: MediaInfo, frames: FrameIndex | None = None) -> TranscodePlan:
    """Return the plan for a source. `spec` must be resolved (see `TranscodeSpec.resolved`).

    `frames` is needed for an encode. It shows how long each frame of the source is shown.
    """
    color = plan_color(source, spec.target_video_codec, spec.depth, spec.hdr, reshapes=spec.fit is not None)
    passes = spec.passes or (2 if spec.target_size is not None and spec.hardware == "cpu" else 1)
    settings = EncodeSettings(
        spec.target_video_codec,
        preset=spec.preset or "medium",
        depth=color.depth,
        hardware=spec.hardware,
        color_space=color.color_space,
        passes=passes,
    )
    renditions, notes = plan_renditions(spec, source, settings)
    frame_rate = _frame_rate(spec, source, frames.longest_frame if frames is not None else 0.0)
    plan = TranscodePlan(
        source=source,
        format=spec.format,
        renditions=renditions,
        copies_video=False,
        audio=_plan_audio(spec, source),
        color=color,
        frame_rate=frame_rate,
        last_frame=_last_frame(source, frames),
        fills_start=spec.format == "hls" and frame_rate is not None and source.video_delay > _MIN_DELAY,
        fit=spec.fit,
        background=spec.background,
        segment_seconds=spec.segment_seconds if spec.format == "hls" else None,
        passes=passes,
        target_size=spec.target_size,
    )
    plan = replace(plan, notes=(*source.notes, *_left_out(spec, source)))
    if _can_copy_video(spec, plan):
        return replace(plan, copies_video=True, passes=1)
    if plan.audio == "copy" and (source.hidden_frames or source.audio.index in source.hidden_audio):
        # A stream copy would play hidden audio, and too early.
        plan = replace(plan, audio=_audio_encoding(spec, source))
    return replace(plan, notes=(*plan.notes, *(note for note in (color.note, *notes) if note)))


def _left_out(spec: TranscodeSpec, source: MediaInfo) -> list[str]:
    """Return a note on the streams that the output does not have."""
    audio = [stream for stream in source.audio_streams if stream.index != source.audio_index]
    subtitles = [stream for stream in source.streams if stream.type == "subtitle"]
    counts = ((0 if spec.mute else len(audio), "audio stream"), (len(subtitles), "subtitle stream"))
    parts = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count]
    return (
        [f"{' and '.join(parts)} of the source {'were' if sum(c for c, _ in counts) > 1 else 'was'} left out"]
        if parts
        else []
    )


def _frame_rate(spec: TranscodeSpec, source: MediaInfo, longest_frame: float) -> Fraction | None:
    """Return the frame rate to convert to; None if the timestamps do not change."""
    current = source.probe.fps
    rate = parse_rate(spec.fps) if spec.fps is not None else None
    if rate is None and spec.max_fps is not None and current is not None:
        limit = parse_rate(spec.max_fps)
        rate = limit if current > float(limit) + 0.001 else None
    if spec.format == "hls" and _has_gaps(source, longest_frame):
        # Each segment needs a frame to start with, also in a pause.
        return rate or source.constant_rate
    unchanged = rate is None or (current is not None and abs(float(rate) - current) < 0.001)
    return None if unchanged else rate


def _last_frame(source: MediaInfo, frames: FrameIndex | None) -> tuple[float, float] | None:
    """Return start and end of the last frame, if it is shown so long that the output would end noticeably early."""
    if frames is None or frames.last_frame < _MIN_HELD + 1 / source.constant_rate:
        return None
    return source.video_delay + float(frames.times[-1]), source.video_delay + float(frames.length)


def _has_gaps(source: MediaInfo, longest_frame: float) -> bool:
    """Return whether some segments would have no frame at their start."""
    return source.has_pauses or longest_frame > _MAX_FRAME or source.video_delay > _MIN_DELAY


def _plan_audio(spec: TranscodeSpec, source: MediaInfo) -> AudioEncoding | Literal["copy"] | None:
    if spec.mute or not source.has_audio:
        return None
    probe = source.probe
    matches = codecs.codec_from_probe(probe.audio_codec) == spec.target_audio_codec
    matches = matches and spec.sample_rate in (None, probe.sample_rate)
    matches = matches and (spec.audio_channels is None or (probe.audio_channels or 2) <= spec.audio_channels)
    limited = spec.audio_bitrate is not None or spec.target_size is not None or spec.format == "hls"
    return "copy" if matches and not limited else _audio_encoding(spec, source)


def _audio_encoding(spec: TranscodeSpec, source: MediaInfo) -> AudioEncoding:
    count = min(spec.audio_channels or 2, source.probe.audio_channels or 2)
    channels: Channels = "5.1" if count >= 6 else "mono" if count == 1 else "stereo"
    codec = spec.target_audio_codec
    bitrate = spec.audio_bitrate or _DEFAULT_AUDIO_BITRATES[codec][channels]
    return AudioEncoding(codec, None if codec == "flac" else bitrate, channels, spec.sample_rate or 48_000)


def _can_copy_video(spec: TranscodeSpec, plan: TranscodePlan) -> bool:
    """Return whether the source video already matches the requested output."""
    probe = plan.source.probe
    rendition = plan.renditions[0]
    encode_options = (spec.quality, spec.crf, spec.bitrate, spec.max_bitrate, spec.preset, spec.target_size)
    return (
        all(value is None for value in encode_options)
        and not spec.renditions
        and spec.format != "hls"
        and codecs.codec_from_probe(probe.video_codec) == spec.target_video_codec
        and (rendition.width, rendition.height) == (probe.width, probe.height)
        and plan.frame_rate is None
        and not plan.source.interlaced
        and _color_matches(plan)
        # Only MP4 and MOV support orientation metadata and edit lists.
        and (spec.format in ("mp4", "mov") or (not probe.turned and plan.source.hidden_frames == 0))
        and (plan.audio is None or plan.source.can_copy_audio(plan.source.audio, spec.format))
    )


def _color_matches(plan: TranscodePlan) -> bool:
    if plan.color.converts or is_high_bit_depth(plan.source) != (plan.color.depth == 10):
        return False
    return plan.source.probe.pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le")
