"""Filters that produce the frames of one scene at the size, frame rate and colors of the output."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.filters.scaling import BT709_OPTIONS, Box, flatten_alpha, scale_to_box
from callsheet.media.filters.source_frames import source_frames
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.schedule import Shot, to_frames
from callsheet.media.timeline.scene import Filter, Motion, Scene
from callsheet.media.values import Fit, even

_MAX_BLUR_SIGMA = 60.0
"""Standard deviation of the largest blur, in pixels of a frame that is 1080 pixels high."""

_SEEK_MARGIN = 1.0
"""Seconds; longer than any frame."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The frame of the output video. `rate` is in frames per second."""

    width: int
    height: int
    rate: Fraction
    fit: Fit = "cover"
    background: str = "#000000"


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Frames `start` to `end` (not included) of a scene or overlay, counted from its own first frame."""

    start: int
    end: int

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.end - self.start


def seek_position(footage: MediaInfo, time: float) -> float:
    """Return the input seek position for a video, in seconds, so that the frame visible at `time` is decoded.

    It is earlier than `time`, because that frame may have started before.
    """
    margin = _SEEK_MARGIN
    if footage.lacks_index:
        margin += float(footage.longest_gop / footage.rate)
    last = (footage.video_seconds or time) - margin
    return max(0.0, min(time - margin, last))


def source_time(trim_start: float, speed: float, frame: int, rate: Fraction) -> float:
    """Return the time in the source video, in seconds, that a frame of a scene or overlay shows."""
    return trim_start + float(frame / rate) * speed


def scene_frames(graph: FilterGraph, stream: str, shot: Shot, frames: FrameRange, canvas: Canvas) -> str:
    """Append the filters that produce some frames of a scene, numbered from 0, from its input stream."""
    scene, footage = shot.scene, shot.footage
    if footage is None:
        video = color_frames(graph, scene.color or scene.background or canvas.background, frames.count, canvas)
    elif footage.still:
        video = _still_frames(graph, stream, shot, footage, frames, canvas)
    else:
        video = video_frames(
            graph, stream, footage, frames, canvas.rate, trim_start=scene.trim_start, speed=scene.speed
        )
        video = flatten_alpha(graph, video, footage, scene.background or canvas.background)
        video = scale_to_box(graph, video, footage, _box(scene, canvas), scene.crop)
    video = graph.chain(normalize(graph, video, canvas), *_effects(scene.filters, canvas))
    return _fade(graph, video, shot, frames, canvas)


def video_frames(
    graph: FilterGraph,
    stream: str,
    footage: MediaInfo,
    frames: FrameRange,
    rate: Fraction,
    *,
    trim_start: float,
    speed: float,
) -> str:
    """Append the filters that resample a video to `rate` and trim it to `frames`.

    Before its start the video shows its first frame, after its end its last frame.
    """
    shifted = f"PTS-{_microseconds(footage.start + trim_start)}/TB"
    starts_late = trim_start <= footage.video_delay
    is_early = source_time(trim_start, speed, frames.start, rate) < footage.video_delay + _SEEK_MARGIN
    return graph.chain(
        source_frames(graph, stream, footage),
        ("setpts", {"expr": shifted if speed == 1 else f"({shifted})/{speed:.6f}"}),
        # With start_time, fps fills the gap before the first frame. After a seek far into the file this is slow.
        ("fps", {"fps": rate, "start_time": 0 if starts_late and is_early else None}),
        ("tpad", {"stop": -1, "stop_mode": "clone"}),
        ("trim", {"start_pts": frames.start, "end_pts": frames.end}),
        ("setpts", {"expr": "PTS-STARTPTS"}),
    )


def _microseconds(seconds: float) -> Fraction:
    """Return a time exact to the microsecond."""
    return Fraction(seconds).limit_denominator(10**6)


def repeat_frame(graph: FilterGraph, stream: str, count: int, rate: Fraction) -> str:
    """Append the filters that repeat the first frame of a stream `count` times. It is decoded and filtered once."""
    return graph.chain(
        stream,
        ("loop", {"loop": -1, "size": 1}),
        ("settb", {"expr": 1 / rate}),
        ("setpts", {"expr": "N"}),
        ("fps", {"fps": rate}),
        ("trim", {"end_frame": count}),
    )


def color_frames(graph: FilterGraph, color: str, count: int, canvas: Canvas) -> str:
    """Append the filters that produce frames of one color."""
    size = f"{canvas.width}x{canvas.height}"
    source = graph.add("color", color=color, size=size, rate=canvas.rate)
    # Through RGB, because the color source itself converts with the BT.601 matrix.
    rgb = graph.chain(source, ("format", {"pix_fmts": "gbrp"}), ("trim", {"end_frame": count}))
    return graph.add("scale", rgb, **BT709_OPTIONS)


def normalize(graph: FilterGraph, stream: str, canvas: Canvas) -> str:
    """Append the filters that give all scenes the same aspect ratio, time base and pixel format."""
    return graph.chain(
        stream,
        ("setsar", {"sar": 1}),
        ("settb", {"expr": 1 / canvas.rate}),
        ("format", {"pix_fmts": "yuv420p"}),
    )


def _box(scene: Scene, canvas: Canvas, enlarge: float = 1.0) -> Box:
    width, height = even(canvas.width * enlarge), even(canvas.height * enlarge)
    return Box(width, height, scene.fit or canvas.fit, scene.focus, scene.background or canvas.background)


def _still_frames(
    graph: FilterGraph, stream: str, shot: Shot, footage: MediaInfo, frames: FrameRange, canvas: Canvas
) -> str:
    motion = shot.scene.motion
    # With motion, the image is scaled larger than the frame, so that zooming never enlarges pixels.
    box = _box(shot.scene, canvas, 1 + motion.amount if motion else 1.0)
    stream = flatten_alpha(graph, stream, footage, box.background)
    image = graph.add("format", scale_to_box(graph, stream, footage, box, shot.scene.crop), pix_fmts="yuv420p")
    video = repeat_frame(graph, image, frames.count, canvas.rate)
    if motion is None:
        return video
    moving = graph.add("perspective", video, **_perspective(motion, frames.start, shot.frames, shot.scene))
    return graph.add("scale", moving, w=canvas.width, h=canvas.height)


def _perspective(motion: Motion, first: int, frames: int, scene: Scene) -> Options:
    """Return the options of `perspective`: the corners of the visible part in each frame.

    `perspective` places corners to fractions of a pixel. `crop` moves by whole pixels, and the image would jitter.
    """
    done = f"clip((on+{first - 1})/{max(1, frames - 1)},0,1)"
    visible = Fraction(1) / (1 + Fraction(motion.amount).limit_denominator(10**4))
    hidden = float(1 - visible)
    forward = f"{hidden:.6f}*{done}"
    backward = f"{hidden:.6f}*(1-{done})"
    middle = f"{hidden / 2:.6f}"
    # A zoom hides more on the side away from the focus, so that the camera approaches the focus.
    x, y = f"{scene.focus.x:.4f}", f"{scene.focus.y:.4f}"
    left, right, top, bottom = {
        "zoom_in": (f"{forward}*{x}", f"{forward}*(1-{x})", f"{forward}*{y}", f"{forward}*(1-{y})"),
        "zoom_out": (f"{backward}*{x}", f"{backward}*(1-{x})", f"{backward}*{y}", f"{backward}*(1-{y})"),
        "pan_right": (forward, backward, middle, middle),
        "pan_left": (backward, forward, middle, middle),
        "pan_down": (middle, middle, forward, backward),
        "pan_up": (middle, middle, backward, forward),
    }[motion.effect]
    x0, x1, y0, y1 = f"W*({left})", f"W*(1-({right}))", f"H*({top})", f"H*(1-({bottom}))"
    corners: Options = {"x0": x0, "y0": y0, "x1": x1, "y1": y0, "x2": x0, "y2": y1, "x3": x1, "y3": y1}
    return {**corners, "interpolation": "linear", "eval": "frame"}


def _effects(filters: list[Filter], canvas: Canvas) -> Iterator[tuple[str, Options]]:
    for effect in filters:
        amount = effect.amount
        match effect.type:
            case "grayscale":
                yield "hue", {"s": 0}
            case "blur":
                strength = 0.2 if amount is None else min(1.0, amount)
                yield "gblur", {"sigma": strength * _MAX_BLUR_SIGMA * canvas.height / 1080}
            case "brightness":
                # `eq` adds a share of the full range; the timeline gives a factor.
                yield "eq", {"brightness": max(-1.0, min(1.0, (1.2 if amount is None else amount) - 1))}
            case "contrast":
                yield "eq", {"contrast": 1.2 if amount is None else amount}
            case "saturation":
                yield "eq", {"saturation": min(3.0, 1.3 if amount is None else amount)}


def _fade(graph: FilterGraph, video: str, shot: Shot, frames: FrameRange, canvas: Canvas) -> str:
    """Append the fades of the scene that overlap these frames."""
    scene, rate = shot.scene, canvas.rate
    in_frames, out_frames = (min(shot.frames, to_frames(s, rate)) for s in (scene.fade_in, scene.fade_out))
    fades: list[tuple[str, Options]] = []
    if frames.start < in_frames:
        fades.append(_fade_filter("in", 0, in_frames, rate, scene.background or canvas.background))
    if frames.end > shot.frames - out_frames and out_frames:
        start = shot.frames - out_frames
        fades.append(_fade_filter("out", start, out_frames, rate, scene.background or canvas.background))
    if not fades:
        return video
    # `fade` works by time, so the frames temporarily get their timestamps within the scene.
    return graph.chain(
        video, ("setpts", {"expr": f"PTS+{frames.start}"}), *fades, ("setpts", {"expr": f"PTS-{frames.start}"})
    )


def _fade_filter(kind: str, start: int, frames: int, rate: Fraction, color: str) -> tuple[str, Options]:
    return "fade", {"type": kind, "st": float(start / rate), "d": float(frames / rate), "color": color}
