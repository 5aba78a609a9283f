"""The filters that make one scene's frames, at the size, rate and colours of the film."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.filters.scaling import BT709_OPTIONS, Box, flatten_alpha, scale_to_box
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.schedule import Shot, to_frames
from callsheet.media.timeline.scene import Filter, Motion, Scene
from callsheet.media.values import Fit, even

_WIDEST_BLUR = 60.0
"""Standard deviation in pixels of a picture 1080 pixels high."""

_AHEAD = 1.0
"""Seconds; more than a frame lasts."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The picture of the film."""

    width: int
    height: int
    rate: Fraction
    fit: Fit = "cover"
    background: str = "#000000"


@dataclass(frozen=True, slots=True)
class Span:
    """Frames `first` to `last` (not included) of a scene or layer, counted from its own beginning."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.first


def seek_before(footage: MediaInfo, moment: float) -> float:
    """Return where to begin reading a video so that the frame seen at a moment can be picked, in its seconds.

    Earlier than needed, since that frame may have begun before.
    """
    ahead = _AHEAD
    if footage.lacks_index:
        ahead += float(footage.longest_gop / footage.rate)
    last = (footage.video_seconds or moment) - ahead
    return max(0.0, min(moment - ahead, last))


def moment_of(trim_start: float, speed: float, frame: int, rate: Fraction) -> float:
    """Return which second of a video is seen in a frame of the scene or layer that shows it."""
    return trim_start + float(frame / rate) * speed


def film_frames(graph: FilterGraph, stream: str, shot: Shot, span: Span, canvas: Canvas) -> str:
    """Append what makes some frames of a scene from its stream, numbered from 0."""
    scene, footage = shot.scene, shot.footage
    if footage is None:
        view = plain_colour(graph, scene.color or canvas.background, span.count, canvas)
    elif footage.still:
        view = _still(graph, stream, shot, footage, span, canvas)
    else:
        picked = picked_frames(
            graph, stream, footage, span, canvas.rate, trim_start=scene.trim_start, speed=scene.speed
        )
        picked = flatten_alpha(graph, picked, footage, scene.background or canvas.background)
        view = scale_to_box(graph, picked, footage, _box(scene, canvas), scene.crop)
    view = graph.chain(normal(graph, view, canvas), *_filtered(scene.filters, canvas))
    return _faded(graph, view, shot, span, canvas)


def picked_frames(
    graph: FilterGraph, stream: str, footage: MediaInfo, span: Span, rate: Fraction, *, trim_start: float, speed: float
) -> str:
    """Append what picks, from a video, the pictures seen in some frames.

    Before it begins its first picture is seen, and after its end the last one.
    """
    shifted = f"PTS-{_micro(footage.start + trim_start)}/TB"
    begins_later = trim_start <= footage.video_delay
    is_early = moment_of(trim_start, speed, span.first, rate) < footage.video_delay + _AHEAD
    if footage.interlaced:
        stream = graph.add("bwdif", stream, mode="send_frame", deint="interlaced")
    return graph.chain(
        stream,
        ("setpts", {"expr": shifted if speed == 1 else f"({shifted})/{speed:.6f}"}),
        # Told where to start, it fills a gap before the first picture; a long way would take its time.
        ("fps", {"fps": rate, "start_time": 0 if begins_later and is_early else None}),
        ("tpad", {"stop": -1, "stop_mode": "clone"}),
        ("trim", {"start_pts": span.first, "end_pts": span.last}),
        ("setpts", {"expr": "PTS-STARTPTS"}),
    )


def _micro(seconds: float) -> Fraction:
    """Return a time exact to the microsecond."""
    return Fraction(seconds).limit_denominator(10**6)


def repeated(graph: FilterGraph, stream: str, count: int, rate: Fraction) -> str:
    """Append what shows the first picture of a stream for `count` frames; it is decoded and changed once."""
    return graph.chain(
        stream,
        ("loop", {"loop": -1, "size": 1}),
        ("settb", {"expr": 1 / rate}),
        ("setpts", {"expr": "N"}),
        ("fps", {"fps": rate}),
        ("trim", {"end_frame": count}),
    )


def plain_colour(graph: FilterGraph, colour: str, count: int, canvas: Canvas) -> str:
    """Append what makes frames of one colour."""
    size = f"{canvas.width}x{canvas.height}"
    plain = graph.add("color", color=colour, size=size, rate=canvas.rate)
    # By way of RGB: the source itself would mix the colour by the matrix of standard definition.
    rgb = graph.chain(plain, ("format", {"pix_fmts": "gbrp"}), ("trim", {"end_frame": count}))
    return graph.add("scale", rgb, **BT709_OPTIONS)


def normal(graph: FilterGraph, stream: str, canvas: Canvas) -> str:
    """Append what makes streams alike, so that they can be joined."""
    return graph.chain(
        stream,
        ("setsar", {"sar": 1}),
        ("settb", {"expr": 1 / canvas.rate}),
        ("format", {"pix_fmts": "yuv420p"}),
    )


def _box(scene: Scene, canvas: Canvas, room: float = 1.0) -> Box:
    width, height = even(canvas.width * room), even(canvas.height * room)
    return Box(width, height, scene.fit or canvas.fit, scene.focus, scene.background or canvas.background)


def _still(graph: FilterGraph, stream: str, shot: Shot, footage: MediaInfo, span: Span, canvas: Canvas) -> str:
    motion = shot.scene.motion
    # Room for the camera, so that nothing is ever enlarged beyond the output.
    box = _box(shot.scene, canvas, 1 + motion.amount if motion else 1.0)
    stream = flatten_alpha(graph, stream, footage, box.background)
    picture = graph.add("format", scale_to_box(graph, stream, footage, box, shot.scene.crop), pix_fmts="yuv420p")
    frames = repeated(graph, picture, span.count, canvas.rate)
    if motion is None:
        return frames
    moving = graph.add("perspective", frames, **_window(motion, span.first, shot.frames, shot.scene))
    return graph.add("scale", moving, w=canvas.width, h=canvas.height)


def _window(motion: Motion, first: int, frames: int, scene: Scene) -> Options:
    """Return the corners of what the camera sees, by frame.

    They are placed to parts of a pixel; cropping, which moves by whole pixels, would tremble.
    """
    share = f"clip((on+{first - 1})/{max(1, frames - 1)},0,1)"
    seen = Fraction(1) / (1 + Fraction(motion.amount).limit_denominator(10**4))
    free = float(1 - seen)
    here = f"{free:.6f}*{share}"
    back = f"{free:.6f}*(1-{share})"
    middle = f"{free / 2:.6f}"
    # What a zoom takes from each side, so that the camera nears the point of focus.
    x, y = f"{scene.focus.x:.4f}", f"{scene.focus.y:.4f}"
    left, right, top, bottom = {
        "zoom_in": (f"{here}*{x}", f"{here}*(1-{x})", f"{here}*{y}", f"{here}*(1-{y})"),
        "zoom_out": (f"{back}*{x}", f"{back}*(1-{x})", f"{back}*{y}", f"{back}*(1-{y})"),
        "pan_right": (here, back, middle, middle),
        "pan_left": (back, here, middle, middle),
        "pan_down": (middle, middle, here, back),
        "pan_up": (middle, middle, back, here),
    }[motion.effect]
    x0, x1, y0, y1 = f"W*({left})", f"W*(1-({right}))", f"H*({top})", f"H*(1-({bottom}))"
    corners: Options = {"x0": x0, "y0": y0, "x1": x1, "y1": y0, "x2": x0, "y2": y1, "x3": x1, "y3": y1}
    return {**corners, "interpolation": "linear", "eval": "frame"}


def _filtered(filters: list[Filter], canvas: Canvas) -> Iterator[tuple[str, Options]]:
    for change in filters:
        amount = change.amount
        match change.type:
            case "grayscale":
                yield "hue", {"s": 0}
            case "blur":
                share = 0.2 if amount is None else min(1.0, amount)
                yield "gblur", {"sigma": share * _WIDEST_BLUR * canvas.height / 1080}
            case "brightness":
                # Its filter adds, in shares of the whole range, where people think in factors of what is there.
                yield "eq", {"brightness": max(-1.0, min(1.0, (1.2 if amount is None else amount) - 1))}
            case "contrast":
                yield "eq", {"contrast": 1.2 if amount is None else amount}
            case "saturation":
                yield "eq", {"saturation": min(3.0, 1.3 if amount is None else amount)}


def _faded(graph: FilterGraph, view: str, shot: Shot, span: Span, canvas: Canvas) -> str:
    """Let the picture appear and disappear, where these frames are part of that."""
    scene, rate = shot.scene, canvas.rate
    appearing, disappearing = (min(shot.frames, to_frames(s, rate)) for s in (scene.fade_in, scene.fade_out))
    fades: list[tuple[str, Options]] = []
    if span.first < appearing:
        fades.append(_fade("in", 0, appearing, rate, scene.background or canvas.background))
    if span.last > shot.frames - disappearing and disappearing:
        start = shot.frames - disappearing
        fades.append(_fade("out", start, disappearing, rate, scene.background or canvas.background))
    if not fades:
        return view
    # The filter goes by time, so the frames are told their times in the scene meanwhile.
    return graph.chain(
        view, ("setpts", {"expr": f"PTS+{span.first}"}), *fades, ("setpts", {"expr": f"PTS-{span.first}"})
    )


def _fade(kind: str, start: int, frames: int, rate: Fraction, colour: str) -> tuple[str, Options]:
    return "fade", {"type": kind, "st": float(start / rate), "d": float(frames / rate), "color": colour}
