"""Write an animated WebP as FFV1 in Matroska, frame by frame. Run as a script, as `run_request` describes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageSequence

from callsheet.media.probing.still_facts import AnimationFacts, read_animated_webp
from callsheet.media.thumbnails.subprocess_protocol import run_request

_MILLISECOND = Fraction(1, 1000)


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Convert `source` to `output`."""
    facts = read_animated_webp(Path(request["source"]))
    if facts is None:
        raise ValueError("it is no animated WebP")
    with (
        av.open(request["output"], "w", format="matroska") as container,
        Image.open(request["source"], formats=["WEBP"]) as animation,
    ):
        stream = _add_stream(container, facts)
        time, last = 0, -1
        for number, image in enumerate(ImageSequence.Iterator(animation)):
            last = number
            frame: VideoFrame = VideoFrame.from_image(image.convert("RGBA"))  # type: ignore[no-untyped-call]
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = time, _MILLISECOND
            time += facts.delays[min(number, len(facts.delays) - 1)]
            for packet in stream.encode(frame):
                packet.duration = facts.delays[min(number, len(facts.delays) - 1)]
                container.mux(packet)
        if last + 1 != len(facts.delays):
            raise ValueError(f"it has {len(facts.delays)} frames, but only {last + 1} can be decoded")
        container.mux(stream.encode(None))
    return {}


def _add_stream(container: Any, facts: AnimationFacts) -> VideoStream:
    rate = Fraction(len(facts.delays) * 1000, sum(facts.delays)).limit_denominator(1001)
    stream: VideoStream = container.add_stream("ffv1", rate=rate)
    stream.width, stream.height = facts.width, facts.height
    stream.pix_fmt = "bgra" if facts.transparent else "bgr0"
    stream.time_base = _MILLISECOND
    stream.codec_context.time_base = _MILLISECOND
    stream.codec_context.thread_count = 1
    return stream


if __name__ == "__main__":
    run_request(main)
