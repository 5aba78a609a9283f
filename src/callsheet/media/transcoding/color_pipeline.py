"""How deep the colours are kept, and whether high dynamic range is."""

from dataclasses import dataclass
from typing import Literal

from callsheet.media.encoding.codecs import VideoCodec
from callsheet.media.encoding.color import HLG, PQ, SDR, ColorSpace
from callsheet.media.encoding.encoders import Depth
from callsheet.media.ffmpeg.filter_graph import Options
from callsheet.media.probing.probe import MediaInfo

_WIDE = frozenset({"bt2020", "smpte432"})
"""Primaries of wide gamuts, by FFmpeg's names; the last is Display P3."""


@dataclass(frozen=True, slots=True)
class ColorPlan:
    """The colours of an output."""

    depth: Depth
    colours: ColorSpace = SDR
    maps_to_sdr: bool = False
    narrows: bool = False
    """Whether colours beyond those of ordinary screens are brought within them."""
    note: str | None = None


def is_deep(footage: MediaInfo) -> bool:
    """Tell whether a picture has more than 8 bits for each colour."""
    return footage.video is not None and (footage.video.bit_depth or 8) > 8


def plan_color(
    source: MediaInfo,
    codec: VideoCodec,
    depth: Literal["auto"] | Depth,
    hdr: Literal["auto", "keep", "tone_map"],
    *,
    shaped: bool = False,
) -> ColorPlan:
    """Decide about the colours of a source; `shaped` pictures get another shape, which is done in SDR."""
    if not source.hdr:
        return _plain(source, codec, depth)
    holds = codec != "h264" and depth != 8 and not shaped
    if hdr != "tone_map" and holds:
        return ColorPlan(10, HLG if source.video and source.video.hdr == "hlg" else PQ)
    note = f"HDR was mapped to SDR: {_why_not_kept(codec, depth)}" if hdr == "auto" else None
    return ColorPlan(10 if depth == 10 else 8, maps_to_sdr=True, note=note)


def _why_not_kept(codec: VideoCodec, depth: Literal["auto"] | Depth) -> str:
    if codec == "h264":
        return "players do not show it in h264"
    return "8 bits do not hold it" if depth == 8 else "another shape is made in SDR"


def _plain(source: MediaInfo, codec: VideoCodec, depth: Literal["auto"] | Depth) -> ColorPlan:
    narrows = source.video is not None and source.video.color_primaries in _WIDE
    if depth != "auto":
        return ColorPlan(depth, narrows=narrows)
    if not is_deep(source):
        return ColorPlan(8, narrows=narrows)
    if codec != "h264":
        return ColorPlan(10, narrows=narrows)
    note = "10-bit colours became 8-bit, since few players show 10-bit h264; depth 10 keeps them"
    return ColorPlan(8, narrows=narrows, note=note)


def narrowing(source: MediaInfo) -> tuple[str, Options]:
    """Return the filter that brings colours of a wide gamut to those that ordinary screens show.

    What the file does not tell is taken to be as usual: the filter refuses to guess.
    """
    told = source.video
    return "zscale", {
        "tin": None if told and told.color_transfer else "709",
        "min": None if told and told.color_matrix else "709",
        "t": "709",
        "p": "709",
        "m": "709",
        "r": "tv",
    }
