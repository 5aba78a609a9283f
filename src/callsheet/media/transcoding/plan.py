"""What has to be done to a video so that it becomes what was asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from callsheet.media import codecs
from callsheet.media.codecs import AudioCodec
from callsheet.media.encoders import Wish
from callsheet.media.fitting import even
from callsheet.media.probe import Footage
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.order import Delivery, Order, Rendition
from callsheet.media.transcoding.tones import Tones, is_deep, tones
from callsheet.media.words import Fit, Quality, read_rate

Channels = Literal["mono", "stereo", "5.1"]

_USUAL_SOUND: dict[AudioCodec, dict[Channels, int | None]] = {
    "aac": {"mono": 96_000, "stereo": 160_000, "5.1": 384_000},
    "opus": {"mono": 64_000, "stereo": 112_000, "5.1": 256_000},
    "flac": {"mono": None, "stereo": None, "5.1": None},
}
"""Bits per second; None where the codec loses nothing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One output's picture."""

    name: str
    width: int
    height: int
    wish: Wish


@dataclass(frozen=True, slots=True)
class Sound:
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
class Plan:
    """The work on one video."""

    source: Footage
    format: Delivery
    pictures: tuple[Picture, ...]
    """The largest first."""
    copies_picture: bool
    sound: Sound | Literal["copy"] | None
    tones: Tones
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
        return whole if self.sound is not None else self.source.picture_seconds or whole

    @property
    def fps(self) -> float:
        """Frames per second of the outcome, on average."""
        return float(self.rate or self.source.probe.fps or 30)


def planned(order: Order, source: Footage) -> Plan:
    """Return what has to be done to a source; `order` is settled."""
    colours = tones(source, order.picture_codec, order.depth, order.hdr, shaped=order.fit is not None)
    passes = order.passes or (2 if order.target_size is not None and order.hardware == "cpu" else 1)
    wish = Wish(
        order.picture_codec,
        preset=order.preset or "medium",
        depth=colours.depth,
        hardware=order.hardware,
        colours=colours.colours,
        passes=passes,
    )
    pictures, notes = _pictures(order, source, wish)
    plan = Plan(
        source=source,
        format=order.format,
        pictures=pictures,
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


def _rate(order: Order, source: Footage) -> Fraction | None:
    """Return the rate to bring the frames to, or None where they may keep their times."""
    found = source.probe.fps
    rate = read_rate(order.fps) if order.fps is not None else None
    if rate is None and order.max_fps is not None and found is not None:
        most = read_rate(order.max_fps)
        rate = most if found > float(most) + 0.001 else None
    keeps = rate is None or (found is not None and abs(float(rate) - found) < 0.001)
    return None if keeps else rate


def _pictures(order: Order, source: Footage, wish: Wish) -> tuple[tuple[Picture, ...], list[str]]:
    if not order.renditions:
        width, height = _size(order, source)
        return (Picture("video", width, height, _sized(wish, order)),), []
    pictures, notes = _ladder(order, source, wish)
    return tuple(_named_apart(sorted(pictures, key=lambda picture: -picture.width * picture.height))), notes


def _ladder(order: Order, source: Footage, wish: Wish) -> tuple[list[Picture], list[str]]:
    """Return the pictures of the renditions; those beyond the source come down to its size, where none has it."""
    own = _even(source.probe.width or 2), _even(source.probe.height or 2)
    rungs = [(rendition, _scaled(rendition, source)) for rendition in order.ladder]
    too_large = [not order.upscale and (size[0] > own[0] or size[1] > own[1]) for _, size in rungs]
    pictures = [
        _rung(rendition, size, order, wish)
        for (rendition, size), large in zip(rungs, too_large, strict=True)
        if not large
    ]
    notes: list[str] = []
    for (rendition, size), large in zip(rungs, too_large, strict=True):
        if not large:
            continue
        name = _rung(rendition, size, order, wish).name
        if any((picture.width, picture.height) == own for picture in pictures):
            notes.append(f"{name} was left out: the source is {own[0]}x{own[1]}")
        else:
            notes.append(f"{name} was made at the size of the source, {own[0]}x{own[1]}")
            pictures.append(_rung(rendition.model_copy(update={"resolution": None}), own, order, wish))
    return pictures, notes


def _rung(rendition: Rendition, size: tuple[int, int], order: Order, wish: Wish) -> Picture:
    asked = any(value is not None for value in (rendition.quality, rendition.crf, rendition.bitrate))
    rates = _sized(wish, rendition if asked else order)
    name = rendition.name or rendition.resolution or f"{min(size)}p"
    return Picture(name, *size, replace(rates, max_bitrate=rendition.max_bitrate or rates.max_bitrate))


def _named_apart(pictures: list[Picture]) -> Iterator[Picture]:
    taken = set(hls.RESERVED)
    for picture in pictures:
        name, number = picture.name, 1
        while name in taken:
            number += 1
            name = f"{picture.name}-{number}"
        taken.add(name)
        yield replace(picture, name=name)


def _sized(wish: Wish, asked: Order | Rendition) -> Wish:
    usual: Quality | None = "medium" if asked.crf is None and asked.bitrate is None else None
    return replace(
        wish,
        quality=asked.quality or usual,
        crf=asked.crf,
        bitrate=asked.bitrate,
        max_bitrate=asked.max_bitrate,
    )


def _size(order: Order, source: Footage) -> tuple[int, int]:
    if order.fit is not None and order.width and order.height:
        return even(order.width), even(order.height)
    return _scaled(order, source)


def _scaled(asked: Order | Rendition, source: Footage) -> tuple[int, int]:
    """Return the size that keeps the shape of the source."""
    width, height = source.probe.width or 2, source.probe.height or 2
    factor = 1.0
    if asked.resolution is not None:
        factor = int(asked.resolution[:-1]) / min(width, height)
    elif asked.width or asked.height:
        factor = min(
            asked.width / width if asked.width else float("inf"),
            asked.height / height if asked.height else float("inf"),
        )
    if isinstance(asked, Order) and asked.upscale is False:
        factor = min(1.0, factor)
    return _even(width * factor), _even(height * factor)


def _even(size: float) -> int:
    """Most codecs halve the colours, so an odd line would be left over."""
    return even(size) if size % 2 != 1 else max(2, int(size) - 1)


def _sound(order: Order, source: Footage) -> Sound | Literal["copy"] | None:
    if order.mute or not source.has_sound:
        return None
    found = source.probe
    same = codecs.codec_of(found.audio_codec) == order.sound_codec
    same = same and order.sample_rate in (None, found.sample_rate)
    same = same and (order.audio_channels is None or (found.audio_channels or 2) <= order.audio_channels)
    limited = order.audio_bitrate is not None or order.target_size is not None or order.format == "hls"
    return "copy" if same and not limited else _encoded(order, source)


def _encoded(order: Order, source: Footage) -> Sound:
    count = min(order.audio_channels or 2, source.probe.audio_channels or 2)
    channels: Channels = "5.1" if count >= 6 else "mono" if count == 1 else "stereo"
    bitrate = order.audio_bitrate or _USUAL_SOUND[order.sound_codec][channels]
    lossless = order.sound_codec == "flac"
    return Sound(order.sound_codec, None if lossless else bitrate, channels, order.sample_rate or 48_000)


def _fits(order: Order, plan: Plan) -> bool:
    """Tell whether the picture is already what it would become."""
    facts = plan.source.probe
    picture = plan.pictures[0]
    asked = (order.quality, order.crf, order.bitrate, order.max_bitrate, order.preset, order.target_size)
    return (
        all(value is None for value in asked)
        and not order.renditions
        and order.format != "hls"
        and codecs.codec_of(facts.video_codec) == order.picture_codec
        and (picture.width, picture.height) == (facts.width, facts.height)
        and plan.rate is None
        and _colours_fit(plan)
        # Other containers know neither turned pictures nor hidden ones.
        and (order.format in ("mp4", "mov") or (facts.rotation == 0 and not hides_frames(plan.source)))
    )


def hides_frames(source: Footage) -> bool:
    """Tell whether a file holds pictures that players leave out, as one does that was trimmed without an encode."""
    facts = source.probe
    shown = (source.picture_seconds or 0.0) * (facts.fps or 0.0)
    return facts.frames is not None and shown > 0 and facts.frames > shown + 1.5


def _colours_fit(plan: Plan) -> bool:
    if plan.tones.maps_to_sdr or is_deep(plan.source) != (plan.tones.depth == 10):
        return False
    return plan.source.probe.pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le")
