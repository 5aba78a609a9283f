"""Short silent animations of a video, as WebP or GIF."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.filter
from av.filter.context import FilterContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from callsheet.media.thumbnails.display_image import display_image
from callsheet.media.thumbnails.frame_score import frame_score
from callsheet.media.thumbnails.preview_requests import AnimationRequest, AnimationResult, ProgressCallback
from callsheet.media.thumbnails.video_reader import VideoReader

_CANDIDATES = 4
"""Candidate positions of a highlight within its part of the video."""
_SCORED_SIDE = 320
_MIN_LENGTH_RATIO = 2
"""A video must be longer than the animation by this factor to have highlights."""
_MAX_ATTEMPTS = 6
_MIN_WIDTH = 16
_MAX_SIDE = 1600

Clip = tuple[float, float]
"""Start and duration, in seconds."""


def make_animation(
    reader: VideoReader, request: AnimationRequest, folder: Path, on_progress: ProgressCallback
) -> AnimationResult:
    """Write the animation to a folder. The width is reduced until the file has at most `max_bytes`.

    Raises ValueError if the file is still too large after several attempts.
    """
    intermediate, output = folder / "animation-cut.mkv", folder / f"animation.{request.format}"
    clips = _select_clips(reader, request, lambda done: on_progress(0.3 * done))
    width = _write_intermediate(reader, clips, request, intermediate, lambda done: on_progress(0.3 + 0.4 * done))
    min_width, encode = min(_MIN_WIDTH, width), _write_gif if request.format == "gif" else _write_webp
    for attempt in range(_MAX_ATTEMPTS):
        encode(intermediate, output, width)
        on_progress(0.7 + 0.3 * (attempt + 1) / _MAX_ATTEMPTS)
        size = output.stat().st_size
        if size <= request.max_bytes:
            intermediate.unlink()
            return AnimationResult(output.name, width)
        # The file size is roughly proportional to the number of pixels. The margin lets the next attempt fit.
        width = max(min_width, int(width * min(0.85, 0.95 * math.sqrt(request.max_bytes / size))))
    raise ValueError(f"the animation does not fit into {request.max_bytes:,} bytes")


def _select_clips(reader: VideoReader, request: AnimationRequest, on_progress: ProgressCallback) -> list[Clip]:
    """Return the clip from `start`, or the best clip of each of several equal parts."""
    seconds = min(request.seconds, reader.duration)
    if request.start is not None:
        start = min(request.start, reader.duration)
        return [(start, min(seconds, max(reader.duration - start, 1 / request.fps)))]
    number = request.highlights if reader.duration > _MIN_LENGTH_RATIO * seconds else 1
    length, part = seconds / number, reader.duration / number
    clips = []
    for index in range(number):
        clips.append((_best_start(reader, index * part, part, length), length))
        on_progress((index + 1) / number)
    return clips


def _best_start(reader: VideoReader, start: float, part: float, length: float) -> float:
    range_length = part - length
    if range_length <= 0:
        return start
    tolerance = range_length / _CANDIDATES
    candidates = [start + range_length * (index + 0.5) / _CANDIDATES for index in range(_CANDIDATES)]
    scored = [
        # The score of both ends counts, so that a clip avoids fades and scene changes.
        (min(_score(reader, time, tolerance), _score(reader, time + length, tolerance)), -time)
        for time in candidates
    ]
    return -max(scored)[1]


def _score(reader: VideoReader, time: float, tolerance: float) -> float:
    frame, _ = reader.frame_at(time, tolerance)
    return frame_score(display_image(frame, reader.shape, max_side=_SCORED_SIDE))


def _write_intermediate(
    reader: VideoReader, clips: list[Clip], request: AnimationRequest, path: Path, on_progress: ProgressCallback
) -> int:
    """Write the clips losslessly at the size and frame rate of the animation, so that the source is read once.

    Return the width, which is smaller than requested if the height would exceed its limit.
    """
    fps = Fraction(request.fps).limit_denominator(1000)
    times = [start + n / fps for start, length in clips for n in range(max(1, round(length * fps)))]
    size: tuple[int, int] | None = None

    def frames() -> Iterator[VideoFrame]:
        nonlocal size
        for index, time in enumerate(times):
            source_frame, _ = reader.frame_at(float(time))
            image = display_image(source_frame, reader.shape, request.width, max_side=_MAX_SIDE)
            size = size or image.size  # the frame size may change within a file
            frame: VideoFrame = VideoFrame.from_image(image.resize(size))  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = index, 1 / fps
            yield frame.reformat(format="bgr0")
            on_progress((index + 1) / len(times))

    _encode(path, "ffv1", frames())
    assert size is not None  # noqa: S101 - every clip has at least one frame
    return size[0]


def _write_webp(source: Path, output: Path, width: int) -> None:
    _encode(output, "libwebp_anim", _scaled_frames(source, width), quality="70", compression_level="4")


def _write_gif(source: Path, output: Path, width: int) -> None:
    """Write a GIF with a palette of 256 colors that is optimized for these frames."""
    palette = _make_palette(_scaled_frames(source, width))
    _encode(output, "gif", _apply_palette(_scaled_frames(source, width), palette))


def _scaled_frames(source: Path, width: int) -> Iterator[VideoFrame]:
    with av.open(str(source)) as container:
        for frame in container.decode(container.streams.video[0]):
            height = max(1, round(frame.height * width / frame.width))
            yield frame.reformat(width, height, format="bgra", interpolation=Interpolation.AREA)


def _make_palette(frames: Iterator[VideoFrame]) -> VideoFrame:
    first = next(frames)
    graph = av.filter.Graph()
    graph.link_nodes(_buffer(graph, first), graph.add("palettegen", "stats_mode=full"), graph.add("buffersink"))
    graph.configure()
    for frame in chain([first], frames):
        graph.vpush(frame)
    graph.vpush(None)
    return graph.vpull()


def _apply_palette(frames: Iterator[VideoFrame], palette: VideoFrame) -> Iterator[VideoFrame]:
    first = next(frames)
    graph = _palette_graph(first, palette)
    for frame in chain([first], frames):
        graph.vpush(frame, 0)
        yield from _pull_frames(graph)
    graph.vpush(None, 0)
    yield from _pull_frames(graph)


def _palette_graph(frame: VideoFrame, palette: VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    palette_use = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
    _buffer(graph, frame).link_to(palette_use, 0, 0)
    _buffer(graph, palette).link_to(palette_use, 0, 1)
    graph.link_nodes(palette_use, graph.add("buffersink")).configure()
    graph.vpush(palette, 1)
    graph.vpush(None, 1)
    return graph


def _pull_frames(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def _buffer(graph: av.filter.Graph, frame: VideoFrame) -> FilterContext:
    """Add a filter source with the format of a frame."""
    return graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)


def _encode(output: Path, codec: str, frames: Iterator[VideoFrame], **options: str) -> None:
    first = next(frames)
    with av.open(str(output), "w", options={"loop": "0"}) as container:
        stream = container.add_stream(codec, options=options)
        assert isinstance(stream, VideoStream) and first.time_base  # noqa: S101 - a video codec, and frames with times
        stream.codec_context.time_base, stream.codec_context.framerate = first.time_base, 1 / first.time_base
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        for frame in chain([first], frames):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
