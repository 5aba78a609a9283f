"""Filters that scale video into a box: crop, pad, blur, and convert its colors to BT.709."""

from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.filters.sdr import ALPHA_FORMATS, sdr_filters
from callsheet.media.geometry import Crop, Focus
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.values import Fit, even

_BLUR_SCALE = 8
"""The blurred background is made at an eighth of the size: it looks the same at a sixteenth of the cost."""

BT709_OPTIONS: Options = {
    "out_color_matrix": "bt709",
    "out_range": "tv",
    # The faster conversion darkens frames by up to two levels when the color matrix changes.
    "flags": "bicubic+accurate_rnd+full_chroma_int",
}


@dataclass(frozen=True, slots=True)
class Box:
    """The target box in pixels, and how the video fills it."""

    width: int
    height: int
    fit: Fit = "cover"
    focus: Focus | None = None
    """The point to keep visible when edges are cropped. None: the center."""
    background: str = "#000000"


def has_alpha(media: MediaInfo) -> bool:
    """Return whether the pixel format of a file has an alpha channel."""
    return (media.probe.pixel_format or "").startswith(ALPHA_FORMATS)


def flatten_alpha(graph: FilterGraph, stream: str, media: MediaInfo, background: str) -> str:
    """Append filters that blend the alpha channel, if there is one, onto a background color."""
    if not has_alpha(media):
        return stream
    bottom, top = graph.split("split", graph.add("format", stream, pix_fmts="gbrap"))
    plain = graph.chain(bottom, ("format", {"pix_fmts": "gbrp"}), ("drawbox", {"color": background, "t": "fill"}))
    return graph.add("overlay", plain, top, format="gbrp")


def scale_to_box(graph: FilterGraph, stream: str, media: MediaInfo, box: Box, crop: Crop | None = None) -> str:
    """Append filters that bring a stream of this file into a box, in BT.709, with square pixels."""
    stream = to_bt709(graph, stream, media)
    aspect = Fraction(media.probe.width or box.width, media.probe.height or box.height)
    if crop is not None:
        stream, aspect = _crop(graph, stream, aspect, crop)
    colors = color_space_of(media)
    if box.fit == "cover":
        return _cover(graph, stream, aspect, box, colors)
    if box.fit == "contain_blur":
        return _contain_on_blur(graph, stream, aspect, box, colors)
    if box.fit == "fill":
        return _scale(graph, stream, (box.width, box.height), colors)
    size = contained_size(aspect, box.width, box.height) if box.fit == "contain" else _source_size(media, crop)
    return _pad(graph, _scale(graph, stream, size, colors), size, box)


def to_bt709(graph: FilterGraph, stream: str, media: MediaInfo) -> str:
    """Append filters that bring HDR and wide-gamut frames of this file to BT.709. Other frames are unchanged."""
    return graph.chain(stream, *filters) if (filters := sdr_filters(media)) else stream


def color_space_of(media: MediaInfo) -> Options:
    """Return the options of `scale` that convert frames of this file to BT.709, after `to_bt709`."""
    return {**BT709_OPTIONS, "in_color_matrix": None if sdr_filters(media) else media.assumed_matrix}


def contained_size(aspect: Fraction, width: int, height: int) -> tuple[int, int]:
    """Return the largest even size of an aspect ratio that fits inside."""
    if aspect > Fraction(width, height):
        return width, min(height, even(width / aspect))
    return min(width, even(height * aspect)), height


def _crop(graph: FilterGraph, stream: str, aspect: Fraction, crop: Crop) -> tuple[str, Fraction]:
    across = 1 - Fraction(crop.left + crop.right).limit_denominator(10**6)
    down = 1 - Fraction(crop.top + crop.bottom).limit_denominator(10**6)
    args: Options = {
        "w": f"iw*{float(across):.6f}",
        "h": f"ih*{float(down):.6f}",
        "x": f"iw*{crop.left:.6f}",
        "y": f"ih*{crop.top:.6f}",
    }
    return graph.add("crop", stream, **args), aspect * across / down


def _source_size(media: MediaInfo, crop: Crop | None) -> tuple[int, int]:
    width, height = media.probe.width or 2, media.probe.height or 2
    across, down = (1 - crop.left - crop.right, 1 - crop.top - crop.bottom) if crop is not None else (1, 1)
    return even(width * across), even(height * down)


def _scale(graph: FilterGraph, stream: str, size: tuple[int, int], colors: Options) -> str:
    return graph.chain(stream, ("scale", {"w": size[0], "h": size[1], **colors}), ("setsar", {"sar": 1}))


def _cover(graph: FilterGraph, stream: str, aspect: Fraction, box: Box, colors: Options) -> str:
    wanted, none = Fraction(box.width, box.height), Fraction(0)
    across, down = max(none, 1 - wanted / aspect), max(none, 1 - aspect / wanted)
    # Crop first, so that no cropped pixels are scaled. Shares of the stored size are valid for non-square pixels too.
    args: Options = {"w": _trimmed("iw", "hsub", across), "h": _trimmed("ih", "vsub", down), "exact": 1}
    if box.focus is not None and (box.focus.x, box.focus.y) != (0.5, 0.5):
        # Center the crop on the point, as far as the edges allow.
        args["x"] = f"hsub*round(clip(iw*{box.focus.x:.6f}-ow/2,0,iw-ow)/hsub)"
        args["y"] = f"vsub*round(clip(ih*{box.focus.y:.6f}-oh/2,0,ih-oh)/vsub)"
    return _scale(graph, graph.add("crop", stream, **args), (box.width, box.height), colors)


def _trimmed(size: str, grain: str, share: Fraction) -> str:
    """Return the expression of a size after cropping a share of it, half on each side.

    Each side loses whole chroma samples, which may span several pixels (`grain`).
    """
    return f"max({grain},{size}-2*{grain}*round({size}*{float(share):.6f}/(2*{grain})))" if share else size


def _pad(graph: FilterGraph, stream: str, size: tuple[int, int], box: Box) -> str:
    width, height = min(size[0], box.width), min(size[1], box.height)
    if (width, height) != size:
        stream = graph.add("crop", stream, w=width, h=height)
    if (width, height) == (box.width, box.height):
        return stream
    args: Options = {"w": box.width, "h": box.height, "x": "(ow-iw)/2", "y": "(oh-ih)/2"}
    return graph.add("pad", stream, **args, color=box.background)


def _contain_on_blur(graph: FilterGraph, stream: str, aspect: Fraction, box: Box, colors: Options) -> str:
    back, front = graph.split("split", stream)
    small = Box(even(box.width / _BLUR_SCALE), even(box.height / _BLUR_SCALE), focus=box.focus)
    background = graph.chain(
        _cover(graph, back, aspect, small, colors),
        ("gblur", {"sigma": 4}),
        ("scale", {"w": box.width, "h": box.height, "flags": "bicubic"}),
        ("format", {"pix_fmts": "yuv420p"}),
    )
    inner = contained_size(aspect, box.width, box.height)
    foreground = graph.add("format", _scale(graph, front, inner, colors), pix_fmts="yuv420p")
    return graph.add("overlay", background, foreground, x="(W-w)/2", y="(H-h)/2", format="yuv420")
