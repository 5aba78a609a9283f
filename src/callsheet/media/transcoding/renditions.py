"""Sizes and encode settings of the outputs of a transcode."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from callsheet.media.encoding.encoders import EncodeSettings
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.spec import Rendition, TranscodeSpec
from callsheet.media.values import Quality, even


@dataclass(frozen=True, slots=True)
class VideoRendition:
    """Video of one output."""

    name: str
    width: int
    height: int
    settings: EncodeSettings


def plan_renditions(
    spec: TranscodeSpec, source: MediaInfo, settings: EncodeSettings
) -> tuple[tuple[VideoRendition, ...], list[str]]:
    """Return the outputs of a source, largest first, and notes on renditions that differ from the request.

    `settings` are the encode settings that all outputs share.
    """
    if not spec.renditions:
        width, height = _output_size(spec, source)
        return (VideoRendition("video", width, height, _with_rate_control(settings, spec)),), []
    renditions, notes = _plan_ladder(spec, source, settings)
    by_size = sorted(renditions, key=lambda rendition: -rendition.width * rendition.height)
    return tuple(_with_unique_names(by_size)), notes


def _plan_ladder(
    spec: TranscodeSpec, source: MediaInfo, settings: EncodeSettings
) -> tuple[list[VideoRendition], list[str]]:
    """Return the renditions of the ladder.

    A rendition larger than the source is made at the size of the source, unless another rendition already has it.
    """
    source_size = _even_size(source.probe.width or 2), _even_size(source.probe.height or 2)
    rungs = [(_plan_rung(requested, spec, source, settings), requested) for requested in spec.ladder]
    renditions = [rung for rung, _ in rungs if spec.upscale or _fits_within(rung, source_size)]
    notes: list[str] = []
    for rung, requested in rungs:
        if rung in renditions:
            continue
        if any((rendition.width, rendition.height) == source_size for rendition in renditions):
            notes.append(f"{rung.name} was skipped: the source is {source_size[0]}x{source_size[1]}")
        else:
            notes.append(f"{rung.name} was made at the size of the source, {source_size[0]}x{source_size[1]}")
            name = requested.name or f"{min(source_size)}p"
            renditions.append(replace(rung, name=name, width=source_size[0], height=source_size[1]))
    return renditions, notes


def _fits_within(rendition: VideoRendition, size: tuple[int, int]) -> bool:
    return rendition.width <= size[0] and rendition.height <= size[1]


def _plan_rung(
    requested: Rendition, spec: TranscodeSpec, source: MediaInfo, settings: EncodeSettings
) -> VideoRendition:
    size = _scaled_size(requested, source)
    has_rate_control = any(value is not None for value in (requested.quality, requested.crf, requested.bitrate))
    rated = _with_rate_control(settings, requested if has_rate_control else spec)
    name = requested.name or requested.resolution or f"{min(size)}p"
    limit = requested.max_bitrate or (spec.max_bitrate if requested.bitrate is None else None)
    return VideoRendition(name, *size, replace(rated, max_bitrate=limit))


def _with_unique_names(renditions: list[VideoRendition]) -> Iterator[VideoRendition]:
    used = set(hls.RESERVED_NAMES)
    for rendition in renditions:
        name, number = rendition.name, 1
        while name in used:
            number += 1
            name = f"{rendition.name}-{number}"
        used.add(name)
        yield replace(rendition, name=name)


def _with_rate_control(settings: EncodeSettings, requested: TranscodeSpec | Rendition) -> EncodeSettings:
    default: Quality | None = "medium" if requested.crf is None and requested.bitrate is None else None
    return replace(
        settings,
        quality=requested.quality or default,
        crf=requested.crf,
        bitrate=requested.bitrate,
        max_bitrate=requested.max_bitrate,
    )


def _output_size(spec: TranscodeSpec, source: MediaInfo) -> tuple[int, int]:
    if spec.fit is not None and spec.width and spec.height:
        return even(spec.width), even(spec.height)
    return _scaled_size(spec, source)


def _scaled_size(requested: TranscodeSpec | Rendition, source: MediaInfo) -> tuple[int, int]:
    """Return the output size. It keeps the aspect ratio of the source."""
    width, height = source.probe.width or 2, source.probe.height or 2
    factor = 1.0
    if requested.resolution is not None:
        factor = int(requested.resolution[:-1]) / min(width, height)
    elif requested.width or requested.height:
        factor = min(
            requested.width / width if requested.width else float("inf"),
            requested.height / height if requested.height else float("inf"),
        )
    if isinstance(requested, TranscodeSpec) and requested.upscale is False:
        factor = min(1.0, factor)
    return _even_size(width * factor), _even_size(height * factor)


def _even_size(size: float) -> int:
    """Return the nearest even size; an odd size is rounded down. Chroma subsampling needs even sizes."""
    return even(size, odd_down=True)
