"""Frames of one size and pixel format, without interlacing, as other operations read them (`filters.source_frames`)."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import av.filter
from av.video.frame import VideoFrame

from callsheet.media.enhancement.requests import VideoSource
from callsheet.media.thumbnails.frame_fitting import fitted_size

_Shape = tuple[int, int, str, Fraction]
"""Width, height, pixel format, pixel aspect ratio."""


def shaped(frames: Iterable[tuple[VideoFrame, Fraction]], source: VideoSource) -> Iterator[VideoFrame]:
    """Yield frames, each given with its pixel aspect ratio, as one picture of constant size.

    A frame of another size is fitted into that of the first one, with bars if its shape differs. Only frames that are
    marked as interlaced are deinterlaced.
    """
    fitted = _fitted(frames, source)
    return _deinterlaced(fitted) if source.may_be_interlaced else fitted


def stored_aspect(source: VideoSource) -> Fraction:
    """Return the pixel aspect ratio of the frames as they are stored, before they are rotated."""
    displayed = Fraction(*source.pixel_aspect)
    return 1 / displayed if source.rotation in (90, 270) else displayed


def _fitted(frames: Iterable[tuple[VideoFrame, Fraction]], source: VideoSource) -> Iterator[VideoFrame]:
    expected = (*source.size, source.pixel_format)
    graphs: dict[_Shape, av.filter.Graph] = {}
    usual = stored_aspect(source)
    for frame, aspect in frames:
        if (frame.width, frame.height, frame.format.name) == expected and aspect == usual:
            yield frame
            continue
        shape = (frame.width, frame.height, frame.format.name, aspect)
        if shape not in graphs:
            graphs[shape] = _fitting_graph(frame, aspect, source)
        graphs[shape].vpush(frame)
        yield _with_time(graphs[shape].vpull(), frame.pts, frame.time_base)


def _fitting_graph(frame: VideoFrame, aspect: Fraction, source: VideoSource) -> av.filter.Graph:
    width, height = source.size
    inner = fitted_size((frame.width, frame.height), float(aspect), source.size, float(stored_aspect(source)))
    if width % 2 or height % 2:  # `pad` would cut off the last column or row
        inner = source.size
    filters = [("scale", f"{inner[0]}:{inner[1]}:interl=-1")]
    filters += [("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2")] if inner != source.size else []
    return _graph(frame, [*filters, ("format", source.pixel_format)])


def _deinterlaced(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Yield each frame without the comb of two fields. The filter looks at the frames before and after it."""
    graph: av.filter.Graph | None = None
    unit: Fraction | None = None
    for frame in frames:
        if graph is None:
            graph, unit = _graph(frame, [("bwdif", "mode=send_frame:deint=interlaced")]), frame.time_base
        graph.vpush(frame)
        yield from _pulled(graph, unit)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph, unit)


def _pulled(graph: av.filter.Graph, unit: Fraction | None) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        # The filter has a finer time base than its input.
        own = frame.time_base or unit
        pts = None if frame.pts is None or not unit or not own else round(frame.pts * own / unit)
        yield _with_time(frame, pts, unit)


def _with_time(frame: VideoFrame, pts: int | None, unit: Fraction | None) -> VideoFrame:
    frame.pts = pts
    if unit is not None:
        frame.time_base = unit
    return frame


def _graph(frame: VideoFrame, filters: list[tuple[str, str]]) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    nodes = [source, *(graph.add(name, options) for name, options in filters), graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()
    return graph
