"""List the frames of a video without decoding them, cut it into parts, and describe the model."""

from collections.abc import Iterator
from typing import Any

from av.video.stream import VideoStream

from callsheet.media.enhancement.inference import load_model, scale_of
from callsheet.media.enhancement.requests import ListingRequest
from callsheet.media.thumbnails.subprocess_protocol import open_source


def list_parts(request: ListingRequest) -> Iterator[dict[str, Any]]:
    """Yield the parts of a video as `{"part": [number, start, end, frames]}`, then `{"time_base": …, "end": …, …}`.

    `scale` is the factor of the model; None without a model, and for one with several inputs. Raises ValueError if the
    video has no timestamps, or the model cannot be loaded.
    """
    model = load_model(request.model, request.compute) if request.model is not None else None
    with open_source(request.source.file) as container:
        stream = container.streams[request.source.stream]
        if not isinstance(stream, VideoStream) or stream.time_base is None:
            raise ValueError("it contains no video")
        packets = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and not packet.is_discard
        ]
        rate, unit = stream.average_rate or stream.guessed_rate, stream.time_base
    times = sorted((pts, duration) for pts, duration in packets if pts is not None)
    if len(times) != len(packets) or not times:
        raise ValueError("its frames have no timestamps; run `transcode` on it first")
    last, duration = times[-1]
    usual = times[-1][0] - times[-2][0] if len(times) > 1 else 1
    size = max(request.part_frames, -(-len(times) // request.max_parts))
    for number, first in enumerate(range(0, len(times), size)):
        following = times[first + size][0] if first + size < len(times) else None
        yield {"part": [number, times[first][0], following, min(size, len(times) - first)]}
    yield {
        "time_base": [unit.numerator, unit.denominator],
        "rate": [rate.numerator, rate.denominator] if rate else None,
        "end": last + (duration or usual),
        "inputs": model.inputs if model is not None else 0,
        "scale": scale_of(model) if model is not None and model.inputs == 1 else None,
    }
