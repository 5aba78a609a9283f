"""Filters that draw an image or video overlay above the scenes."""

import math
from collections.abc import Iterator
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.filters.scaling import (
    Box,
    color_space_of,
    contained_size,
    has_alpha,
    scale_to_box,
    to_bt709,
)
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.scene_filters import Canvas, FrameRange, repeat_frame, video_frames
from callsheet.media.timeline.overlay import Animation, ChromaKey, MediaOverlay
from callsheet.media.values import even

_SLIDE_SECONDS = 0.5
_X_SHARES = {"left": 0.0, "right": 1.0}
_Y_SHARES = {"top": 0.0, "bottom": 1.0}


def add_overlay(
    graph: FilterGraph,
    base: str,
    stream: str,
    placement: OverlayPlacement,
    frames: FrameRange,
    at: int,
    canvas: Canvas,
) -> str:
    """Append the filters that draw some frames of an overlay on the stream `base`, the first on its frame `at`."""
    overlay, footage = placement.overlay, placement.footage
    assert isinstance(overlay, MediaOverlay) and footage is not None  # noqa: S101 - texts are drawn by ASS scripts
    if footage.still:
        image = _transform(graph, stream, placement, overlay, footage, canvas)
        video = repeat_frame(graph, image, frames.count, canvas.rate)
    else:
        trim, speed = overlay.trim_start, overlay.speed
        video = video_frames(graph, stream, footage, frames, canvas.rate, trim_start=trim, speed=speed)
        video = _transform(graph, video, placement, overlay, footage, canvas)
        video = graph.add("settb", video, expr=1 / canvas.rate)
    video = _fade(graph, video, placement, overlay, frames, canvas.rate)
    video = graph.add("setpts", video, expr=f"PTS+{at}") if at else video
    x, y = _position(overlay, placement, frames.start - at, canvas.rate)
    # eof_action=pass: before the overlay's first frame and after its last one, the base is unchanged.
    return graph.add("overlay", base, video, x=x, y=y, format="yuv420", eof_action="pass")


def is_translucent(placement: OverlayPlacement) -> bool:
    """Return whether an overlay needs an alpha channel."""
    overlay, footage = placement.overlay, placement.footage
    assert isinstance(overlay, MediaOverlay) and footage is not None  # noqa: S101 - texts are drawn by ASS scripts
    fades = overlay.fade_in or overlay.fade_out
    changed = overlay.opacity < 1 or overlay.rotation or overlay.chroma_key is not None or fades
    return bool(changed) or has_alpha(footage)


def _transform(
    graph: FilterGraph,
    stream: str,
    placement: OverlayPlacement,
    overlay: MediaOverlay,
    footage: MediaInfo,
    canvas: Canvas,
) -> str:
    """Append scaling, chroma key, rotation and opacity."""
    translucent = is_translucent(placement)
    stream = _scale(graph, stream, placement, overlay, footage, canvas)
    stream = graph.add("format", stream, pix_fmts="yuva420p" if translucent else "yuv420p")
    if (key := overlay.chroma_key) is not None:
        stream = _chroma_key(graph, stream, key, transparent=has_alpha(footage))
    if overlay.rotation:
        angle = math.radians(overlay.rotation)
        rotation: Options = {"a": angle, "ow": f"rotw({angle:.6f})", "oh": f"roth({angle:.6f})", "c": "black@0"}
        stream = graph.add("rotate", stream, **rotation)
    if overlay.opacity < 1:
        stream = graph.add("lutyuv", stream, a=f"val*{overlay.opacity:.4f}")
    return stream


def _chroma_key(graph: FilterGraph, stream: str, key: ChromaKey, *, transparent: bool) -> str:
    options: Options = {"color": key.color, "similarity": key.similarity, "blend": key.blend}
    if not transparent:
        return graph.add("chromakey", stream, **options)
    # `chromakey` replaces the alpha channel, so it is multiplied with the original one.
    original, copy = graph.split("split", stream)
    video, keyed = graph.split("split", graph.add("chromakey", copy, **options))
    masks = (graph.add("alphaextract", each) for each in (original, keyed))
    return graph.add("alphamerge", video, graph.add("blend", *masks, all_mode="multiply"))


def _scale(
    graph: FilterGraph,
    stream: str,
    placement: OverlayPlacement,
    overlay: MediaOverlay,
    footage: MediaInfo,
    canvas: Canvas,
) -> str:
    ratio = Fraction(footage.probe.width or 2, footage.probe.height or 2)
    width, height = overlay.width, overlay.height
    has_size = width or height or overlay.scale
    fit = overlay.fit or (canvas.fit if placement.fills_frame and not has_size else None)
    if fit in ("cover", "contain_blur") and not overlay.scale and bool(width) == bool(height):
        box = Box(even(width or canvas.width), even(height or canvas.height), fit)
        return scale_to_box(graph, stream, footage, box)
    stream = to_bt709(graph, stream, footage)
    fills = fit in ("contain", "fill")
    size = _size(overlay, ratio, footage, canvas, fills_frame=fills, stretched=fit == "fill")
    return graph.chain(
        stream, ("scale", {"w": size[0], "h": size[1], **color_space_of(footage)}), ("setsar", {"sar": 1})
    )


def _size(
    overlay: MediaOverlay, ratio: Fraction, footage: MediaInfo, canvas: Canvas, *, fills_frame: bool, stretched: bool
) -> tuple[int, int]:
    """Return the size of an overlay in pixels. It keeps its aspect ratio unless it is stretched."""
    width, height = overlay.width, overlay.height
    if overlay.scale is not None:
        width = even(canvas.width * overlay.scale)
    elif not (width or height) and fills_frame:
        width, height = canvas.width, canvas.height
    if width and height:
        return (even(width), even(height)) if stretched else contained_size(ratio, width, height)
    if width:
        return even(width), even(width / ratio)
    if height:
        return even(height * ratio), even(height)
    original = footage.probe.width or 2, footage.probe.height or 2
    if original[0] > canvas.width or original[1] > canvas.height:
        return contained_size(ratio, canvas.width, canvas.height)
    return even(original[0]), even(original[1])


def _fade(
    graph: FilterGraph,
    video: str,
    placement: OverlayPlacement,
    overlay: MediaOverlay,
    frames: FrameRange,
    rate: Fraction,
) -> str:
    fades = [*_fade_filters(placement, overlay, frames, rate)]
    if not fades:
        return video
    # `fade` works by time, so the frames temporarily get their timestamps within the overlay.
    first = frames.start
    return graph.chain(video, ("setpts", {"expr": f"PTS+{first}"}), *fades, ("setpts", {"expr": f"PTS-{first}"}))


def _fade_filters(
    placement: OverlayPlacement, overlay: MediaOverlay, frames: FrameRange, rate: Fraction
) -> Iterator[tuple[str, Options]]:
    duration = float(placement.frames / rate)
    fade_in, fade_out = min(overlay.fade_in, duration), min(overlay.fade_out, duration)
    if fade_in and float(frames.start / rate) < fade_in:
        yield "fade", {"type": "in", "st": 0, "d": fade_in, "alpha": 1}
    if fade_out and float(frames.end / rate) > duration - fade_out:
        yield "fade", {"type": "out", "st": duration - fade_out, "d": fade_out, "alpha": 1}


def _position(overlay: MediaOverlay, placement: OverlayPlacement, ahead: int, rate: Fraction) -> tuple[str, str]:
    """Return the x and y expressions. `ahead` is the number of frames by which overlay time exceeds stream time."""
    x_share = next((share for edge, share in _X_SHARES.items() if edge in overlay.position), 0.5)
    y_share = next((share for edge, share in _Y_SHARES.items() if edge in overlay.position), 0.5)
    # `overlay` truncates to whole pixels, and an offset written in decimals may be just below a whole pixel.
    x = f"round((W-w)*{x_share}+W*{overlay.offset.x:.6f})"
    y = f"round((H-h)*{y_share}+H*{overlay.offset.y:.6f})"
    time = f"(t+{float(ahead / rate):.6f})"
    duration = float(placement.frames / rate)
    slide_in = _slide_in_progress(time, _slide_seconds(overlay.fade_in, duration))
    x, y = _slide(overlay.animation_in, x, y, slide_in, entering=True)
    slide_out = _slide_out_progress(time, duration, _slide_seconds(overlay.fade_out, duration))
    return _slide(overlay.animation_out, x, y, slide_out, entering=False)


def _slide_seconds(fade: float, duration: float) -> float:
    return min(fade or _SLIDE_SECONDS, duration)


def _slide_in_progress(time: str, seconds: float) -> str:
    """Return the distance from the final position: from 1 to 0, decelerating."""
    return f"pow(1-clip({time}/{seconds:.6f},0,1),3)"


def _slide_out_progress(time: str, duration: float, seconds: float) -> str:
    """Return the distance from the position: from 0 to 1, accelerating."""
    return f"pow(clip(({time}-{duration - seconds:.6f})/{seconds:.6f},0,1),3)"


def _slide(animation: Animation, x: str, y: str, distance: str, *, entering: bool) -> tuple[str, str]:
    """Move the position towards the edge of the frame by a share of the way.

    An entering overlay comes from the edge opposite to its direction; a leaving one goes to the edge in its direction.
    """
    direction = animation.removeprefix("slide_")
    if direction in ("left", "right"):
        edge = "W" if (direction == "left") == entering else "-w"
        return f"({x})+({edge}-({x}))*{distance}", y
    if direction in ("up", "down"):
        edge = "H" if (direction == "up") == entering else "-h"
        return x, f"({y})+({edge}-({y}))*{distance}"
    return x, y
