"""The filters that bring a picture of any shape into a box of another."""

from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.geometry import Crop, Focus
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.values import Fit

_BLUR_SCALE = 8
"""The blurred background is made at an eighth of the size, which looks the same for a sixteenth of the cost."""

BT709_OPTIONS: Options = {
    "out_color_matrix": "bt709",
    "out_range": "tv",
    # The quicker way darkens pictures whose matrix changes by up to two levels.
    "flags": "bicubic+accurate_rnd+full_chroma_int",
}

HDR_TO_SDR: tuple[tuple[str, Options], ...] = (
    ("zscale", {"t": "linear", "npl": 100}),
    ("format", {"pix_fmts": "gbrpf32le"}),
    ("zscale", {"p": "bt709"}),
    ("tonemap", {"tonemap": "hable", "desat": 0}),
    ("zscale", {"t": "bt709", "m": "bt709", "r": "tv"}),
    ("format", {"pix_fmts": "yuv420p"}),
)


@dataclass(frozen=True, slots=True)
class Box:
    """Where a picture goes and how it fills it."""

    width: int
    height: int
    fit: Fit = "cover"
    focus: Focus | None = None
    """What stays in sight when edges are cut off; None: the middle."""
    background: str = "#000000"


def has_alpha(footage: MediaInfo) -> bool:
    """Tell whether the pictures of a file may be transparent in places."""
    name = footage.probe.pixel_format or ""
    return name.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya", "pal8"))


def flatten_alpha(graph: FilterGraph, stream: str, footage: MediaInfo, ground: str) -> str:
    """Append what lays a picture that may be transparent on a plain ground."""
    if not has_alpha(footage):
        return stream
    below, above = graph.split("split", graph.add("format", stream, pix_fmts="gbrap"))
    plain = graph.chain(below, ("format", {"pix_fmts": "gbrp"}), ("drawbox", {"color": ground, "t": "fill"}))
    return graph.add("overlay", plain, above, format="gbrp")


def scale_to_box(graph: FilterGraph, stream: str, footage: MediaInfo, box: Box, crop: Crop | None = None) -> str:
    """Append what brings a stream of this footage into a box, in our colours, with square pixels."""
    if footage.hdr:
        stream = graph.chain(stream, *HDR_TO_SDR)
    shape = Fraction(footage.probe.width or box.width, footage.probe.height or box.height)
    if crop is not None:
        stream, shape = _cropped(graph, stream, shape, crop)
    colours = color_space_of(footage)
    if box.fit == "cover":
        return _covering(graph, stream, shape, box, colours)
    if box.fit == "contain_blur":
        return _on_a_blur_of_itself(graph, stream, shape, box, colours)
    if box.fit == "fill":
        return _scaled(graph, stream, (box.width, box.height), colours)
    size = contained_size(shape, box.width, box.height) if box.fit == "contain" else _own_size(footage, crop)
    return _on_a_plain_ground(graph, _scaled(graph, stream, size, colours), size, box)


def color_space_of(footage: MediaInfo) -> Options:
    """Return the options by which `scale` brings this footage to our colours."""
    return {**BT709_OPTIONS, "in_color_matrix": None if footage.hdr else footage.assumed_matrix}


def contained_size(shape: Fraction, width: int, height: int) -> tuple[int, int]:
    """Return the largest even size of a shape that fits inside."""
    if shape > Fraction(width, height):
        return width, min(height, even(width / shape))
    return min(width, even(height * shape)), height


def even(size: float | Fraction) -> int:
    """Return the nearest even size."""
    return max(2, round(size / 2) * 2)


def _cropped(graph: FilterGraph, stream: str, shape: Fraction, crop: Crop) -> tuple[str, Fraction]:
    across = 1 - Fraction(crop.left + crop.right).limit_denominator(10**6)
    down = 1 - Fraction(crop.top + crop.bottom).limit_denominator(10**6)
    words: Options = {
        "w": f"iw*{float(across):.6f}",
        "h": f"ih*{float(down):.6f}",
        "x": f"iw*{crop.left:.6f}",
        "y": f"ih*{crop.top:.6f}",
    }
    return graph.add("crop", stream, **words), shape * across / down


def _own_size(footage: MediaInfo, crop: Crop | None) -> tuple[int, int]:
    width, height = footage.probe.width or 2, footage.probe.height or 2
    if crop is None:
        return even(width), even(height)
    return even(width * (1 - crop.left - crop.right)), even(height * (1 - crop.top - crop.bottom))


def _scaled(graph: FilterGraph, stream: str, size: tuple[int, int], colours: Options) -> str:
    return graph.chain(stream, ("scale", {"w": size[0], "h": size[1], **colours}), ("setsar", {"sar": 1}))


def _covering(graph: FilterGraph, stream: str, shape: Fraction, box: Box, colours: Options) -> str:
    wanted, none = Fraction(box.width, box.height), Fraction(0)
    across, down = max(none, 1 - wanted / shape), max(none, 1 - shape / wanted)
    # Cut first, so that nothing is scaled only to be thrown away. Shares of the stored picture hold for
    # pixels that are not square, too.
    words: Options = {"w": _without("iw", "hsub", across), "h": _without("ih", "vsub", down), "exact": 1}
    if box.focus is not None and (box.focus.x, box.focus.y) != (0.5, 0.5):
        # The point stays in the middle as far as the edges allow.
        words["x"] = f"hsub*round(clip(iw*{box.focus.x:.6f}-ow/2,0,iw-ow)/hsub)"
        words["y"] = f"vsub*round(clip(ih*{box.focus.y:.6f}-oh/2,0,ih-oh)/vsub)"
    return _scaled(graph, graph.add("crop", stream, **words), (box.width, box.height), colours)


def _without(size: str, grain: str, share: Fraction) -> str:
    """Return what is left of a size without a share that goes from both sides alike.

    Each side gives whole samples of the colours, of which one may cover several pixels.
    """
    return f"max({grain},{size}-2*{grain}*round({size}*{float(share):.6f}/(2*{grain})))" if share else size


def _on_a_plain_ground(graph: FilterGraph, stream: str, size: tuple[int, int], box: Box) -> str:
    width, height = min(size[0], box.width), min(size[1], box.height)
    if (width, height) != size:
        stream = graph.add("crop", stream, w=width, h=height)
    if (width, height) == (box.width, box.height):
        return stream
    words: Options = {"w": box.width, "h": box.height, "x": "(ow-iw)/2", "y": "(oh-ih)/2"}
    return graph.add("pad", stream, **words, color=box.background)


def _on_a_blur_of_itself(graph: FilterGraph, stream: str, shape: Fraction, box: Box, colours: Options) -> str:
    behind, before = graph.split("split", stream)
    small = Box(even(box.width / _BLUR_SCALE), even(box.height / _BLUR_SCALE), focus=box.focus)
    background = graph.chain(
        _covering(graph, behind, shape, small, colours),
        ("gblur", {"sigma": 4}),
        ("scale", {"w": box.width, "h": box.height, "flags": "bicubic"}),
        ("format", {"pix_fmts": "yuv420p"}),
    )
    inner = contained_size(shape, box.width, box.height)
    foreground = graph.add("format", _scaled(graph, before, inner, colours), pix_fmts="yuv420p")
    return graph.add("overlay", background, foreground, x="(W-w)/2", y="(H-h)/2", format="yuv420")
