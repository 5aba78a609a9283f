"""Write an animation as FFV1 in Matroska, frame by frame, each with its own duration."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

_MILLISECOND = Fraction(1, 1000)


def write_animation(
    output: Path, frames: Iterable[tuple[Image.Image, int]], *, size: tuple[int, int], rate: Fraction, transparent: bool
) -> int:
    """Write frames, each with its duration in milliseconds, and return their number.

    `size` is in pixels. `rate` is the average number of frames per second.
    """
    count, time = 0, 0
    with av.open(str(output), "w", format="matroska") as container:
        stream = _add_stream(container, size, rate, transparent)
        for image, duration in frames:
            frame = _frame(image.convert("RGBA")).reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = time, _MILLISECOND
            for packet in stream.encode(frame):
                packet.duration = duration
                container.mux(packet)
            count, time = count + 1, time + duration
        container.mux(stream.encode(None))
    return count


def _frame(image: Image.Image) -> VideoFrame:
    """Return an RGBA image as a frame. `VideoFrame.from_image` would drop the alpha channel."""
    frame = VideoFrame(image.width, image.height, "rgba")
    plane = frame.planes[0]
    plane.update(image.tobytes("raw", "RGBA", plane.line_size, 1))
    return frame


def _add_stream(container: Any, size: tuple[int, int], rate: Fraction, transparent: bool) -> VideoStream:
    stream: VideoStream = container.add_stream("ffv1", rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = "bgra" if transparent else "bgr0"
    stream.time_base = _MILLISECOND
    stream.codec_context.time_base = _MILLISECOND
    stream.codec_context.thread_count = 1
    return stream
