"""What has to be done to a video so that it becomes what was asked for."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import AudioCodec
from callsheet.media.encoding.encoders import EncodeSettings
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.transcoding.color_pipeline import ColorPlan, is_deep, plan_color
from callsheet.media.transcoding.renditions import VideoRendition, plan_renditions
from callsheet.media.transcoding.spec import Delivery, TranscodeSpec
from callsheet.media.values import Fit, parse_rate

Channels = Literal["mono", "stereo", "5.1"]

_USUAL_SOUND: dict[AudioCodec, dict[Channels, int | None]] = {
    "aac": {"mono": 96_000, "stereo": 160_000, "5.1": 384_000},
    "opus": {"mono": 64_000, "stereo": 112_000, "5.1": 256_000},
    "flac": {"mono": None, "stereo": None, "5.1": None},
}
"""Bits per second; None where the codec loses nothing."""


@dataclass(frozen=True, slots=True)
class AudioEncoding:
    """What the sound is encoded as."""

    codec: AudioCodec
    bitrate: int | None
    channels: Channels
    sample_rate: int

    @property
    def count(self) -> int:
        """How many channels there are."""
        return {"mono": 1, "stereo": 2, "5.1": 6}[self.channels]


@dataclass(frozen=True, slots=True)
class TranscodePlan:
    """The work on one video."""

    source: MediaInfo
    format: Delivery
    renditions: tuple[VideoRendition, ...]
    """The largest first."""
    copies_picture: bool
    sound: AudioEncoding | Literal["copy"] | None
    tones: ColorPlan
    rate: Fraction | None = None
    """None: the frames keep their times."""
    fit: Fit | None = None
    background: str = "#000000"
    segment: float | None = None
    """Seconds of a segment, in HLS."""
    passes: int = 1
    target: int | None = None
    """Bytes that the only output stays within."""
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the outcome plays."""
        whole = self.source.probe.duration or 0.0
        return whole if self.sound is not None else self.source.video_seconds or whole

    @property
    def fps(self) -> float:
        """Frames per second of the outcome, on average."""
        return float(self.rate or self.source.probe.fps or 30)


def plan_transcode(order: TranscodeSpec, source: MediaInfo) -> TranscodePlan:
    """Return what has to be done to a source; `order` is settled."""
    colours = plan_color(source, order.picture_codec, order.depth, order.hdr, shaped=order.fit is not None)
    passes = order.passes or (2 if order.target_size is not None and order.hardware == "cpu" else 1)
    wish = EncodeSettings(
        order.picture_codec,
        preset=order.preset or "medium",
        depth=colours.depth,
        hardware=order.hardware,
        color_space=colours.colours,
        passes=passes,
    )
    pictures, notes = plan_renditions(order, source, wish)
    plan = TranscodePlan(
        source=source,
        format=order.format,
        renditions=pictures,
        copies_picture=False,
        sound=_sound(order, source),
        tones=colours,
        rate=_rate(order, source),
        fit=order.fit,
        background=order.background,
        segment=order.segment_seconds if order.format == "hls" else None,
        passes=passes,
        target=order.target_size,
    )
    if _fits(order, plan):
        return replace(plan, copies_picture=True, passes=1)
    if hides_frames(source) and plan.sound == "copy":
        # Such a file hides sound as well, which would be heard, and too early.
        plan = replace(plan, sound=_encoded(order, source))
    return replace(plan, notes=tuple(note for note in (colours.note, *notes) if note))


def _rate(order: TranscodeSpec, source: MediaInfo) -> Fraction | None:
    """Return the rate to bring the frames to, or None where they may keep their times."""
    found = source.probe.fps
    rate = parse_rate(order.fps) if order.fps is not None else None
    if rate is None and order.max_fps is not None and found is not None:
        most = parse_rate(order.max_fps)
        rate = most if found > float(most) + 0.001 else None
    keeps = rate is None or (found is not None and abs(float(rate) - found) < 0.001)
    return None if keeps else rate


def _sound(order: TranscodeSpec, source: MediaInfo) -> AudioEncoding | Literal["copy"] | None:
    if order.mute or not source.has_audio:
        return None
    found = source.probe
    same = codecs.codec_from_probe(found.audio_codec) == order.sound_codec
    same = same and order.sample_rate in (None, found.sample_rate)
    same = same and (order.audio_channels is None or (found.audio_channels or 2) <= order.audio_channels)
    limited = order.audio_bitrate is not None or order.target_size is not None or order.format == "hls"
    return "copy" if same and not limited else _encoded(order, source)


def _encoded(order: TranscodeSpec, source: MediaInfo) -> AudioEncoding:
    count = min(order.audio_channels or 2, source.probe.audio_channels or 2)
    channels: Channels = "5.1" if count >= 6 else "mono" if count == 1 else "stereo"
    bitrate = order.audio_bitrate or _USUAL_SOUND[order.sound_codec][channels]
    lossless = order.sound_codec == "flac"
    return AudioEncoding(order.sound_codec, None if lossless else bitrate, channels, order.sample_rate or 48_000)


def _fits(order: TranscodeSpec, plan: TranscodePlan) -> bool:
    """Tell whether the picture is already what it would become."""
    facts = plan.source.probe
    picture = plan.renditions[0]
    asked = (order.quality, order.crf, order.bitrate, order.max_bitrate, order.preset, order.target_size)
    return (
        all(value is None for value in asked)
        and not order.renditions
        and order.format != "hls"
        and codecs.codec_from_probe(facts.video_codec) == order.picture_codec
        and (picture.width, picture.height) == (facts.width, facts.height)
        and plan.rate is None
        and _colours_fit(plan)
        # Other containers know neither turned pictures nor hidden ones.
        and (order.format in ("mp4", "mov") or (facts.rotation == 0 and not hides_frames(plan.source)))
    )


def hides_frames(source: MediaInfo) -> bool:
    """Tell whether a file holds pictures that players leave out, as one does that was trimmed without an encode."""
    facts = source.probe
    shown = (source.video_seconds or 0.0) * (facts.fps or 0.0)
    return facts.frames is not None and shown > 0 and facts.frames > shown + 1.5


def _colours_fit(plan: TranscodePlan) -> bool:
    if plan.tones.maps_to_sdr or is_deep(plan.source) != (plan.tones.depth == 10):
        return False
    return plan.source.probe.pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le")
