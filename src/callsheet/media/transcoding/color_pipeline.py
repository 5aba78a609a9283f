"""Color decisions of a transcode: bit depth, HDR and gamut."""

from dataclasses import dataclass, replace
from typing import Literal

from callsheet.media.encoding.codecs import VideoCodec
from callsheet.media.encoding.color import HLG, PQ, SDR, ColorSpace
from callsheet.media.encoding.encoders import Depth
from callsheet.media.filters.sdr import is_wide_gamut
from callsheet.media.probing.probe import MediaInfo


@dataclass(frozen=True, slots=True)
class ColorPlan:
    """Color format of an output."""

    depth: Depth
    color_space: ColorSpace = SDR
    converts: bool = False
    """Whether HDR or wide-gamut colors are converted to BT.709."""
    note: str | None = None


def is_high_bit_depth(source: MediaInfo) -> bool:
    """Return whether the video has more than 8 bits per color component."""
    return source.video is not None and (source.video.bit_depth or 8) > 8


def plan_color(
    source: MediaInfo,
    codec: VideoCodec,
    depth: Literal["auto"] | Depth,
    hdr: Literal["auto", "keep", "tone_map"],
    *,
    reshapes: bool = False,
) -> ColorPlan:
    """Return the color format of the output. `reshapes`: the output has another aspect ratio, which needs SDR."""
    if not source.hdr:
        return _plan_sdr(source, codec, depth)
    supports_hdr = codec != "h264" and depth != 8 and not reshapes
    if hdr != "tone_map" and supports_hdr:
        kept = HLG if source.video and source.video.hdr == "hlg" else PQ
        stated = source.video.color_primaries if source.video else None
        return ColorPlan(10, replace(kept, primaries=stated or kept.primaries))
    note = f"HDR was converted to SDR: {_no_hdr_reason(codec, depth)}" if hdr == "auto" else None
    return ColorPlan(10 if depth == 10 else 8, converts=True, note=note)


def _no_hdr_reason(codec: VideoCodec, depth: Literal["auto"] | Depth) -> str:
    if codec == "h264":
        return "players do not support HDR in h264"
    return "HDR needs 10 bits" if depth == 8 else "fit supports SDR only"


def _plan_sdr(source: MediaInfo, codec: VideoCodec, depth: Literal["auto"] | Depth) -> ColorPlan:
    narrows = is_wide_gamut(source)
    if depth != "auto":
        return ColorPlan(depth, converts=narrows)
    if not is_high_bit_depth(source):
        return ColorPlan(8, converts=narrows)
    if codec != "h264":
        return ColorPlan(10, converts=narrows)
    note = "10-bit color was converted to 8-bit, since few players support 10-bit h264; set depth to 10 to keep it"
    return ColorPlan(8, converts=narrows, note=note)
