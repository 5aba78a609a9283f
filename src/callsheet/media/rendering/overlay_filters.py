"""The filters that lay a picture or video over the film."""

import math
from collections.abc import Iterator
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.filters.scaling import (
    HDR_TO_SDR,
    Box,
    color_space_of,
    contained_size,
    has_alpha,
    scale_to_box,
)
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.scene_filters import Canvas, Span, picked_frames, repeated
from callsheet.media.timeline.overlay import Animation, ChromaKey, PictureOverlay
from callsheet.media.values import even

_SLIDE_SECONDS = 0.5
_ACROSS = {"left": 0.0, "right": 1.0}
_DOWN = {"top": 0.0, "bottom": 1.0}


def add_overlay(graph: FilterGraph, below: str, stream: str, layer: Layer, span: Span, at: int, canvas: Canvas) -> str:
    """Append what lays some frames of a layer over a stream, the first of them over the frame number `at`."""
    overlay, footage = layer.overlay, layer.footage
    assert isinstance(overlay, PictureOverlay) and footage is not None  # noqa: S101 - texts are written by scripts
    if footage.still:
        frames = repeated(graph, _shaped(graph, stream, layer, overlay, footage, canvas), span.count, canvas.rate)
    else:
        trim, speed = overlay.trim_start, overlay.speed
        picked = picked_frames(graph, stream, footage, span, canvas.rate, trim_start=trim, speed=speed)
        frames = _shaped(graph, picked, layer, overlay, footage, canvas)
        frames = graph.add("settb", frames, expr=1 / canvas.rate)
    frames = _appearing(graph, frames, layer, overlay, span, canvas.rate)
    frames = graph.add("setpts", frames, expr=f"PTS+{at}") if at else frames
    x, y = _place(overlay, layer, span.first - at, canvas.rate)
    # Before its first frame and after its last one, the film is seen as it is.
    return graph.add("overlay", below, frames, x=x, y=y, format="yuv420", eof_action="pass")


def see_through(layer: Layer) -> bool:
    """Tell whether anything below a picture can be seen through it."""
    overlay, footage = layer.overlay, layer.footage
    assert isinstance(overlay, PictureOverlay) and footage is not None  # noqa: S101 - texts are written by scripts
    fading = overlay.fade_in or overlay.fade_out
    changed = overlay.opacity < 1 or overlay.rotation or overlay.chroma_key is not None or fading
    return bool(changed) or has_alpha(footage)


def _shaped(
    graph: FilterGraph, stream: str, layer: Layer, overlay: PictureOverlay, footage: MediaInfo, canvas: Canvas
) -> str:
    clear = see_through(layer)
    stream = _sized(graph, stream, layer, overlay, footage, canvas)
    stream = graph.add("format", stream, pix_fmts="yuva420p" if clear else "yuv420p")
    if (key := overlay.chroma_key) is not None:
        stream = _keyed(graph, stream, key, transparent=has_alpha(footage))
    if overlay.rotation:
        angle = math.radians(overlay.rotation)
        turned: Options = {"a": angle, "ow": f"rotw({angle:.6f})", "oh": f"roth({angle:.6f})", "c": "black@0"}
        stream = graph.add("rotate", stream, **turned)
    if overlay.opacity < 1:
        stream = graph.add("lutyuv", stream, a=f"val*{overlay.opacity:.4f}")
    return stream


def _keyed(graph: FilterGraph, stream: str, key: ChromaKey, *, transparent: bool) -> str:
    """Append what takes one colour out."""
    words: Options = {"color": key.color, "similarity": key.similarity, "blend": key.blend}
    if not transparent:
        return graph.add("chromakey", stream, **words)
    # The filter forgets how transparent the picture was before.
    before, below = graph.split("split", stream)
    picture, keyed = graph.split("split", graph.add("chromakey", below, **words))
    masks = (graph.add("alphaextract", each) for each in (before, keyed))
    return graph.add("alphamerge", picture, graph.add("blend", *masks, all_mode="multiply"))


def _sized(
    graph: FilterGraph, stream: str, layer: Layer, overlay: PictureOverlay, footage: MediaInfo, canvas: Canvas
) -> str:
    shape = Fraction(footage.probe.width or 2, footage.probe.height or 2)
    width, height = overlay.width, overlay.height
    fit = overlay.fit or (canvas.fit if layer.fills and not (width or height or overlay.scale) else None)
    if fit in ("cover", "contain_blur") and not overlay.scale and bool(width) == bool(height):
        box = Box(even(width or canvas.width), even(height or canvas.height), fit)
        return scale_to_box(graph, stream, footage, box)
    if footage.hdr:
        stream = graph.chain(stream, *HDR_TO_SDR)
    size = _own_size(overlay, shape, footage, canvas, fills=fit in ("contain", "fill"), stretched=fit == "fill")
    return graph.chain(
        stream, ("scale", {"w": size[0], "h": size[1], **color_space_of(footage)}), ("setsar", {"sar": 1})
    )


def _own_size(
    overlay: PictureOverlay, shape: Fraction, footage: MediaInfo, canvas: Canvas, *, fills: bool, stretched: bool
) -> tuple[int, int]:
    """Return the size of an overlay that keeps its shape, unless it is stretched."""
    width, height = overlay.width, overlay.height
    if overlay.scale is not None:
        width = even(canvas.width * overlay.scale)
    elif not (width or height) and fills:
        width, height = canvas.width, canvas.height
    if width and height:
        return (even(width), even(height)) if stretched else contained_size(shape, width, height)
    if width:
        return even(width), even(width / shape)
    if height:
        return even(height * shape), even(height)
    own = footage.probe.width or 2, footage.probe.height or 2
    if own[0] > canvas.width or own[1] > canvas.height:
        return contained_size(shape, canvas.width, canvas.height)
    return even(own[0]), even(own[1])


def _appearing(
    graph: FilterGraph, frames: str, layer: Layer, overlay: PictureOverlay, span: Span, rate: Fraction
) -> str:
    fades = [*_fades(layer, overlay, span, rate)]
    if not fades:
        return frames
    # The filter goes by time, so the frames are told their times in the layer meanwhile.
    first = span.first
    return graph.chain(frames, ("setpts", {"expr": f"PTS+{first}"}), *fades, ("setpts", {"expr": f"PTS-{first}"}))


def _fades(layer: Layer, overlay: PictureOverlay, span: Span, rate: Fraction) -> Iterator[tuple[str, Options]]:
    whole = float(layer.frames / rate)
    appearing, disappearing = min(overlay.fade_in, whole), min(overlay.fade_out, whole)
    if appearing and float(span.first / rate) < appearing:
        yield "fade", {"type": "in", "st": 0, "d": appearing, "alpha": 1}
    if disappearing and float(span.last / rate) > whole - disappearing:
        yield "fade", {"type": "out", "st": whole - disappearing, "d": disappearing, "alpha": 1}


def _place(overlay: PictureOverlay, layer: Layer, ahead: int, rate: Fraction) -> tuple[str, str]:
    """Return where it lies, as expressions; `ahead` is how many frames its time is ahead of the stream's."""
    across = next((share for word, share in _ACROSS.items() if word in overlay.position), 0.5)
    down = next((share for word, share in _DOWN.items() if word in overlay.position), 0.5)
    # The filter cuts fractions off, which a share written in decimals leaves a hair below a whole pixel.
    x = f"round((W-w)*{across}+W*{overlay.offset.x:.6f})"
    y = f"round((H-h)*{down}+H*{overlay.offset.y:.6f})"
    time = f"(t+{float(ahead / rate):.6f})"
    whole = float(layer.frames / rate)
    x, y = _sliding(overlay.animation_in, x, y, _come(time, _length(overlay.fade_in, whole)), coming=True)
    going = _go(time, whole, _length(overlay.fade_out, whole))
    return _sliding(overlay.animation_out, x, y, going, coming=False)


def _length(fade: float, whole: float) -> float:
    return min(fade or _SLIDE_SECONDS, whole)


def _come(time: str, length: float) -> str:
    """Return how far it is from its place: 1 at first, then 0; quick at first, and slower."""
    return f"pow(1-clip({time}/{length:.6f},0,1),3)"


def _go(time: str, whole: float, length: float) -> str:
    return f"pow(clip(({time}-{whole - length:.6f})/{length:.6f},0,1),3)"


def _sliding(animation: Animation, x: str, y: str, away: str, *, coming: bool) -> tuple[str, str]:
    """Move it out of the film by a share of the way: against the direction when it comes, along when it goes."""
    direction = animation.removeprefix("slide_")
    if direction in ("left", "right"):
        beyond = "W" if (direction == "left") == coming else "-w"
        return f"({x})+({beyond}-({x}))*{away}", y
    if direction in ("up", "down"):
        beyond = "H" if (direction == "up") == coming else "-h"
        return x, f"({y})+({beyond}-({y}))*{away}"
    return x, y
