"""Deinterlace a single frame."""

import av
from av.video.frame import VideoFrame


def deinterlaced(frame: VideoFrame) -> VideoFrame:
    """Return a frame without the comb of two fields. A progressive frame is returned unchanged.

    A filter that compares frames needs more than one, so this one looks at the lines of one field only.
    """
    if not frame.interlaced_frame:
        return frame
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    filters = [graph.add("estdif", "mode=frame:deint=all"), graph.add("buffersink")]
    for node in filters:
        source.link_to(node)
        source = node
    graph.configure()
    graph.push(frame)
    graph.push(None)
    result = graph.pull()
    assert isinstance(result, VideoFrame)  # noqa: S101 - it is a graph of video
    return result
