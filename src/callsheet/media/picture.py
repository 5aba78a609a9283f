"""The filters that bring one scene to the size, rate and colours of the film."""

from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.graph import Graph, Options
from callsheet.media.probe import Footage
from callsheet.media.schedule import Shot
from callsheet.media.timeline import Motion
from callsheet.media.words import Fit

_BLUR_SCALE = 8
"""The blurred background is made at an eighth of the size, which looks the same for a sixteenth of the cost."""

HDR_TO_SDR: tuple[tuple[str, Options], ...] = (
    ("zscale", {"t": "linear", "npl": 100}),
    ("format", {"pix_fmts": "gbrpf32le"}),
    ("zscale", {"p": "bt709"}),
    ("tonemap", {"tonemap": "hable", "desat": 0}),
    ("zscale", {"t": "bt709", "m": "bt709", "r": "tv"}),
    ("format", {"pix_fmts": "yuv420p"}),
)


@dataclass(frozen=True, slots=True)
class Canvas:
    """The picture of the film."""

    width: int
    height: int
    rate: Fraction
    fit: Fit = "cover"


def seek_before(shot: Shot, first: int, rate: Fraction) -> float:
    """Return where to begin reading a video so that its frame `first` can be picked, in seconds of the file.

    A second earlier than needed, since the frame seen at a moment may have begun before it.
    """
    assert shot.footage is not None  # noqa: S101 - only videos are sought in
    moment = shot.scene.trim_start + float(first / rate)
    last = (shot.footage.picture_seconds or moment) - 1
    return max(0.0, min(moment - 1, last))


def film_frames(graph: Graph, stream: str, shot: Shot, first: int, last: int, canvas: Canvas) -> str:
    """Append what makes frames `first` to `last` (not included) of a scene from its stream."""
    count = last - first
    if shot.footage is None:
        return _colour(graph, shot.scene.color or "#000000", count, canvas)
    fit = shot.scene.fit or canvas.fit
    if shot.footage.still:
        return _still(graph, stream, shot, first, count, fit, canvas)
    from_file_start = first == 0 and shot.scene.trim_start == 0
    picked = graph.chain(
        stream,
        ("setpts", {"expr": f"PTS-{Fraction(shot.scene.trim_start).limit_denominator(10**6)}/TB"}),
        # Told where to start, it fills a gap before the first picture of a file.
        ("fps", {"fps": canvas.rate, "start_time": 0 if from_file_start else None}),
        ("tpad", {"stop": -1, "stop_mode": "clone"}),
        ("trim", {"start_pts": first, "end_pts": last}),
        ("setpts", {"expr": "PTS-STARTPTS"}),
    )
    return _normal(graph, _fitted(graph, picked, shot.footage, fit, canvas.width, canvas.height), canvas)


def _colour(graph: Graph, colour: str, count: int, canvas: Canvas) -> str:
    size = f"{canvas.width}x{canvas.height}"
    plain = graph.add("color", color=colour, size=size, rate=canvas.rate)
    # By way of RGB: the source itself would mix the colour by the matrix of standard definition.
    rgb = graph.chain(plain, ("format", {"pix_fmts": "gbrp"}), ("trim", {"end_frame": count}))
    return _normal(graph, graph.add("scale", rgb, **_OUR_COLOURS), canvas)


def _still(graph: Graph, stream: str, shot: Shot, first: int, count: int, fit: Fit, canvas: Canvas) -> str:
    """Show one picture for `count` frames. It is decoded, scaled and fitted once."""
    assert shot.footage is not None  # noqa: S101 - a still is a file
    motion = shot.scene.motion
    # Room for the camera, so that nothing is ever enlarged beyond the output.
    room = 1 + motion.amount if motion else 1.0
    width, height = _even(canvas.width * room), _even(canvas.height * room)
    fitted = graph.add("format", _fitted(graph, stream, shot.footage, fit, width, height), pix_fmts="yuv420p")
    frames = graph.chain(
        fitted,
        ("loop", {"loop": -1, "size": 1}),
        ("settb", {"expr": 1 / canvas.rate}),
        ("setpts", {"expr": "N"}),
        ("fps", {"fps": canvas.rate}),
        ("trim", {"end_frame": count}),
    )
    if motion is None:
        return _normal(graph, frames, canvas)
    moving = graph.add("perspective", frames, **_window(motion, first, shot.frames))
    return _normal(graph, graph.add("scale", moving, w=canvas.width, h=canvas.height), canvas)


def _window(motion: Motion, first: int, frames: int) -> Options:
    """Return the corners of what the camera sees, by frame.

    They are placed to parts of a pixel; cropping, which moves by whole pixels, would tremble.
    """
    share = f"clip((on+{first - 1})/{max(1, frames - 1)},0,1)"
    seen = Fraction(1) / (1 + Fraction(motion.amount).limit_denominator(10**4))
    free = float(1 - seen)
    here = f"{free:.6f}*{share}"
    back = f"{free:.6f}*(1-{share})"
    middle = f"{free / 2:.6f}"
    left, right, top, bottom = {
        "zoom_in": (f"{here}/2", f"{here}/2", f"{here}/2", f"{here}/2"),
        "zoom_out": (f"{back}/2", f"{back}/2", f"{back}/2", f"{back}/2"),
        "pan_right": (here, back, middle, middle),
        "pan_left": (back, here, middle, middle),
        "pan_down": (middle, middle, here, back),
        "pan_up": (middle, middle, back, here),
    }[motion.effect]
    x0, x1, y0, y1 = f"W*({left})", f"W*(1-{right})", f"H*({top})", f"H*(1-{bottom})"
    corners: Options = {"x0": x0, "y0": y0, "x1": x1, "y1": y0, "x2": x0, "y2": y1, "x3": x1, "y3": y1}
    return {**corners, "interpolation": "linear", "eval": "frame"}


_OUR_COLOURS: Options = {
    "out_color_matrix": "bt709",
    "out_range": "tv",
    # The quicker way darkens pictures whose matrix changes by up to two levels.
    "flags": "bicubic+accurate_rnd+full_chroma_int",
}


def _fitted(graph: Graph, stream: str, footage: Footage, fit: Fit, width: int, height: int) -> str:
    """Append what brings a picture of any shape to the given size."""
    if footage.hdr:
        stream = graph.chain(stream, *HDR_TO_SDR)
    colours: Options = {**_OUR_COLOURS, "in_color_matrix": None if footage.hdr else footage.matrix}
    shape = Fraction(footage.probe.width or width, footage.probe.height or height)
    if fit == "cover":
        return _covering(graph, stream, shape, width, height, colours)
    if fit == "contain":
        inner = _contained(shape, width, height)
        small = graph.chain(stream, ("scale", {"w": inner[0], "h": inner[1], **colours}), ("setsar", {"sar": 1}))
        return graph.add("pad", small, w=width, h=height, x="(ow-iw)/2", y="(oh-ih)/2", color="black")
    return _on_a_blur_of_itself(graph, stream, shape, width, height, colours)


def _covering(graph: Graph, stream: str, shape: Fraction, width: int, height: int, colours: Options) -> str:
    wanted, whole = Fraction(width, height), Fraction(1)
    kept_width, kept_height = float(min(whole, wanted / shape)), float(min(whole, shape / wanted))
    # Cut first, so that nothing is scaled only to be thrown away. Shares of the stored picture hold for
    # pixels that are not square, too.
    return graph.chain(
        stream,
        ("crop", {"w": f"iw*{kept_width:.6f}", "h": f"ih*{kept_height:.6f}"}),
        ("scale", {"w": width, "h": height, **colours}),
        ("setsar", {"sar": 1}),
    )


def _on_a_blur_of_itself(graph: Graph, stream: str, shape: Fraction, width: int, height: int, colours: Options) -> str:
    behind, before = graph.split("split", stream)
    small = _even(width / _BLUR_SCALE), _even(height / _BLUR_SCALE)
    background = graph.chain(
        _covering(graph, behind, shape, *small, colours),
        ("gblur", {"sigma": 4}),
        ("scale", {"w": width, "h": height, "flags": "bicubic"}),
        ("format", {"pix_fmts": "yuv420p"}),
    )
    inner = _contained(shape, width, height)
    foreground = graph.chain(
        before,
        ("scale", {"w": inner[0], "h": inner[1], **colours}),
        ("setsar", {"sar": 1}),
        ("format", {"pix_fmts": "yuv420p"}),
    )
    return graph.add("overlay", background, foreground, x="(W-w)/2", y="(H-h)/2", format="yuv420")


def _contained(shape: Fraction, width: int, height: int) -> tuple[int, int]:
    """Return the largest even size of the shape that fits inside."""
    if shape > Fraction(width, height):
        return width, min(height, _even(float(width / shape)))
    return min(width, _even(float(height * shape))), height


def _normal(graph: Graph, stream: str, canvas: Canvas) -> str:
    """Append what makes streams alike, so that they can be joined."""
    return graph.chain(
        stream,
        ("setsar", {"sar": 1}),
        ("settb", {"expr": 1 / canvas.rate}),
        ("format", {"pix_fmts": "yuv420p"}),
    )


def _even(size: float) -> int:
    return max(2, round(size / 2) * 2)
