"""Find out whether the frames of a video are coded as two fields each, in two packets.

FFmpeg then counts fields where it should count frames. The prober imports this module, so it imports only PyAV.
"""

from itertools import pairwise
from statistics import median

import av
from av.container import InputContainer
from av.video.stream import VideoStream

_PACKETS = 24
"""Packets that are decoded."""
_FRAME_SHARE = 0.75
"""Frames per packet below which packets are fields. Some frames may be coded as a whole."""


def read_field_coding(container: InputContainer, index: int) -> float | None:
    """Return the frames per second of a video stream, from its start, if each frame is coded as two fields; else None.

    Example: 25.0 for a broadcast of 50 fields per second.
    """
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)  # noqa: S101 - its index is that of a video
    stream.codec_context.thread_count = 1  # several threads would give the first frame later
    times: list[int] = []
    packets = 0
    try:
        for packet in container.demux(stream):
            times += [frame.pts for frame in packet.decode() if frame.pts is not None]
            packets += packet.size > 0
            if packets == _PACKETS:
                break
        times += [frame.pts for frame in stream.codec_context.decode(None) if frame.pts is not None]
    except (av.FFmpegError, IndexError):  # the part before it was decoded
        pass
    distances = [later - time for time, later in pairwise(sorted(times)) if later > time]
    if len(times) > _FRAME_SHARE * packets or not distances or not stream.time_base:
        return None
    return float(1 / (median(distances) * stream.time_base))
