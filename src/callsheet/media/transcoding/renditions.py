"""The sizes that a video is made in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from callsheet.media.encoding.encoders import EncodeSettings
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.spec import Rendition, TranscodeSpec
from callsheet.media.values import Quality, even


@dataclass(frozen=True, slots=True)
class VideoRendition:
    """One output's picture."""

    name: str
    width: int
    height: int
    settings: EncodeSettings


def plan_renditions(
    order: TranscodeSpec, source: MediaInfo, wish: EncodeSettings
) -> tuple[tuple[VideoRendition, ...], list[str]]:
    """Return the pictures to make of a source, the largest first, with notes on renditions that are not as asked."""
    if not order.renditions:
        width, height = _size(order, source)
        return (VideoRendition("video", width, height, _rated(wish, order)),), []
    pictures, notes = _ladder(order, source, wish)
    return tuple(_named_apart(sorted(pictures, key=lambda picture: -picture.width * picture.height))), notes


def _ladder(order: TranscodeSpec, source: MediaInfo, wish: EncodeSettings) -> tuple[list[VideoRendition], list[str]]:
    """Return the pictures of the renditions; those beyond the source come down to its size, where none has it."""
    own = even(source.probe.width or 2, odd_down=True), even(source.probe.height or 2, odd_down=True)
    rungs = [(_rung(rendition, order, source, wish), rendition) for rendition in order.ladder]
    pictures = [rung for rung, _ in rungs if order.upscale or _is_within(rung, own)]
    notes: list[str] = []
    for rung, rendition in rungs:
        if rung in pictures:
            continue
        if any((picture.width, picture.height) == own for picture in pictures):
            notes.append(f"{rung.name} was left out: the source is {own[0]}x{own[1]}")
        else:
            notes.append(f"{rung.name} was made at the size of the source, {own[0]}x{own[1]}")
            name = rendition.name or f"{min(own)}p"
            pictures.append(replace(rung, name=name, width=own[0], height=own[1]))
    return pictures, notes


def _is_within(picture: VideoRendition, size: tuple[int, int]) -> bool:
    return picture.width <= size[0] and picture.height <= size[1]


def _rung(rendition: Rendition, order: TranscodeSpec, source: MediaInfo, wish: EncodeSettings) -> VideoRendition:
    size = _scaled(rendition, source)
    asked = any(value is not None for value in (rendition.quality, rendition.crf, rendition.bitrate))
    rates = _rated(wish, rendition if asked else order)
    name = rendition.name or rendition.resolution or f"{min(size)}p"
    limit = rendition.max_bitrate or (order.max_bitrate if rendition.bitrate is None else None)
    return VideoRendition(name, *size, replace(rates, max_bitrate=limit))


def _named_apart(pictures: list[VideoRendition]) -> Iterator[VideoRendition]:
    taken = set(hls.RESERVED)
    for picture in pictures:
        name, number = picture.name, 1
        while name in taken:
            number += 1
            name = f"{picture.name}-{number}"
        taken.add(name)
        yield replace(picture, name=name)


def _rated(wish: EncodeSettings, asked: TranscodeSpec | Rendition) -> EncodeSettings:
    usual: Quality | None = "medium" if asked.crf is None and asked.bitrate is None else None
    return replace(
        wish,
        quality=asked.quality or usual,
        crf=asked.crf,
        bitrate=asked.bitrate,
        max_bitrate=asked.max_bitrate,
    )


def _size(order: TranscodeSpec, source: MediaInfo) -> tuple[int, int]:
    if order.fit is not None and order.width and order.height:
        return even(order.width), even(order.height)
    return _scaled(order, source)


def _scaled(asked: TranscodeSpec | Rendition, source: MediaInfo) -> tuple[int, int]:
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
    if isinstance(asked, TranscodeSpec) and asked.upscale is False:
        factor = min(1.0, factor)
    return even(width * factor, odd_down=True), even(height * factor, odd_down=True)
