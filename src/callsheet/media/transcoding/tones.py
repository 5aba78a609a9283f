"""How deep the colours are kept, and whether high dynamic range is."""

from dataclasses import dataclass
from typing import Literal

from callsheet.media.codecs import VideoCodec
from callsheet.media.colours import HLG, PQ, SDR, Colours
from callsheet.media.encoders import Depth
from callsheet.media.probe import Footage


@dataclass(frozen=True, slots=True)
class Tones:
    """The colours of an output."""

    depth: Depth
    colours: Colours = SDR
    maps_to_sdr: bool = False
    note: str | None = None


def is_deep(footage: Footage) -> bool:
    """Tell whether a picture has more than 8 bits for each colour."""
    return footage.picture is not None and (footage.picture.bit_depth or 8) > 8


def tones(
    source: Footage,
    codec: VideoCodec,
    depth: Literal["auto"] | Depth,
    hdr: Literal["auto", "keep", "tone_map"],
    *,
    shaped: bool = False,
) -> Tones:
    """Decide about the colours of a source; `shaped` pictures get another shape, which is done in SDR."""
    if not source.hdr:
        return _plain(source, codec, depth)
    holds = codec != "h264" and depth != 8 and not shaped
    if hdr != "tone_map" and holds:
        return Tones(10, HLG if source.picture and source.picture.hdr == "hlg" else PQ)
    note = f"HDR was mapped to SDR: {_why_not_kept(codec, depth)}" if hdr == "auto" else None
    return Tones(10 if depth == 10 else 8, maps_to_sdr=True, note=note)


def _why_not_kept(codec: VideoCodec, depth: Literal["auto"] | Depth) -> str:
    if codec == "h264":
        return "players do not show it in h264"
    return "8 bits do not hold it" if depth == 8 else "another shape is made in SDR"


def _plain(source: Footage, codec: VideoCodec, depth: Literal["auto"] | Depth) -> Tones:
    if depth != "auto":
        return Tones(depth)
    if not is_deep(source):
        return Tones(8)
    if codec != "h264":
        return Tones(10)
    return Tones(8, note="10-bit colours became 8-bit, since few players show 10-bit h264; depth 10 keeps them")
