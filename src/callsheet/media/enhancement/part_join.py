"""Join the parts of a video without an encode, and copy all other streams of the source bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from callsheet.media.enhancement.requests import JoinRequest, Part
from callsheet.media.thumbnails.subprocess_protocol import open_source

_COPIED = ("audio", "subtitle", "data")
_Timed = tuple[Fraction, int, "Packet[Any]"]
"""The time of a packet in seconds, the number of its stream, and the packet."""


@dataclass(frozen=True, slots=True)
class _FrameTimes:
    """The timestamps of all frames, in order, and how far the encoder reorders them."""

    order: list[int]
    delay: int
    end: int

    def decode_time(self, number: int) -> int:
        """Return the decoding timestamp of a packet: that of the frame shown `delay` frames earlier."""
        if number >= self.delay:
            return self.order[number - self.delay]
        step = self.order[1] - self.order[0] if len(self.order) > 1 else 1
        return self.order[0] - (self.delay - number) * max(1, step)


def join_parts(request: JoinRequest) -> Iterator[dict[str, Any]]:
    """Write the video with the copied streams. Yield `{"frames": …, "copied": …, "left_out": […]}`.

    Raises ValueError if the parts do not fit together.
    """
    paths = [(part, Path(request.folder) / f"{part.number}.mp4") for part in request.parts]
    present = [(part, path) for part, path in paths if path.exists()]
    if not present:
        raise ValueError("none of its frames can be decoded")
    times = _frame_times(request, present)
    options = (
        {"movflags": "+faststart", "movie_timescale": str(_timescale(request))} if request.format != "matroska" else {}
    )
    with (
        open_source(request.source.file) as source,
        av.open(request.output, "w", format=request.format, options=options) as output,
    ):
        with av.open(str(present[0][1])) as first:
            template = first.streams.video[0]
            headers = template.codec_context.extradata
            video = output.add_stream_from_template(template)
            video.time_base = Fraction(*request.output_time_base)
        copied, left_out = _add_copies(source, output, request)
        _describe(source, output, video, request)
        streams = [_video_packets(request, present, times, video, headers)]
        streams += [_copied_packets(source, copied)] if copied else []
        for _, _, packet in merge(*streams, key=lambda timed: timed[:2]):
            output.mux_one(packet)
    yield {"frames": len(times.order), "copied": len(copied), "left_out": left_out}


def _timescale(request: JoinRequest) -> int:
    """Return a time scale for the header of MP4 in which the start of the video has an exact time."""
    return Fraction(*request.output_time_base).denominator


def _frame_times(request: JoinRequest, paths: list[tuple[Part, Path]]) -> _FrameTimes:
    shown: list[int] = []
    for part, path in paths:
        with av.open(str(path)) as container:
            start = _to_output(request, part.start)
            shown += [start + pts for pts in _timestamps(container, request)]
    order = sorted(shown)
    if len(set(order)) != len(order):
        raise ValueError("two of its frames have the same timestamp")
    rank = {pts: number for number, pts in enumerate(order)}
    delay = max(number - rank[pts] for number, pts in enumerate(shown))
    return _FrameTimes(order, max(0, delay), _to_output(request, request.end))


def _to_output(request: JoinRequest, time: int) -> int:
    return round(time * Fraction(*request.time_base) / Fraction(*request.output_time_base))


def _timestamps(container: InputContainer, request: JoinRequest) -> Iterator[int]:
    stream = container.streams.video[0]
    for packet in container.demux(stream):
        if packet.size:
            yield _output_pts(packet, stream, request)


def _output_pts(packet: "Packet[VideoStream]", stream: VideoStream, request: JoinRequest) -> int:
    assert packet.pts is not None and stream.time_base is not None  # noqa: S101 - an MP4 of ours
    exact = packet.pts * stream.time_base / Fraction(*request.output_time_base)
    return round(exact)


def _video_packets(
    request: JoinRequest, paths: list[tuple[Part, Path]], times: _FrameTimes, video: VideoStream, headers: bytes | None
) -> Iterator[_Timed]:
    unit = Fraction(*request.output_time_base)
    rank = {pts: number for number, pts in enumerate(times.order)}
    number = 0
    for part, path in paths:
        start = _to_output(request, part.start)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.codec_context.extradata != headers:
                raise ValueError(f"part {part.number} of the video was encoded with other headers than the first one")
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                pts = start + _output_pts(packet, stream, request)
                place = rank[pts] + 1
                packet.stream = video
                packet.time_base = unit
                packet.pts, packet.dts = pts, times.decode_time(number)
                packet.duration = (times.order[place] if place < len(times.order) else times.end) - pts
                yield packet.dts * unit, 0, packet
                number += 1


def _add_copies(
    source: InputContainer, output: OutputContainer, request: JoinRequest
) -> tuple[dict[int, Stream], list[str]]:
    """Add the other streams of the source. Return them by their index, and what the container cannot hold."""
    copied: dict[int, Stream] = {}
    left_out: list[str] = []
    for stream in source.streams:
        if stream.index == request.source.stream:
            continue
        name = f"{stream.type} stream {stream.index}"
        if stream.type not in _COPIED:
            left_out.append(name)
            continue
        try:
            copy = output.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError):
            left_out.append(name)
            continue
        _copy_tags(stream, copy)
        copied[stream.index] = copy
    return copied, left_out


def _copy_tags(stream: Stream, copy: Stream) -> None:
    for key in ("language", "title", "handler_name"):
        if key in stream.metadata:
            copy.metadata[key] = stream.metadata[key]
    copy.disposition = Disposition(stream.disposition)


def _describe(source: InputContainer, output: OutputContainer, video: VideoStream, request: JoinRequest) -> None:
    _copy_tags(source.streams[request.source.stream], video)
    output.metadata.update(request.tags)
    output.set_chapters(source.chapters())


def _copied_packets(source: InputContainer, copied: dict[int, Stream]) -> Iterator[_Timed]:
    wanted = [source.streams[index] for index in copied]
    latest: dict[int, Fraction] = {}
    for packet in source.demux(wanted):
        if not packet.size and packet.dts is None:
            continue
        index, unit = packet.stream.index, packet.time_base
        stamp = packet.dts if packet.dts is not None else packet.pts
        time = stamp * unit if stamp is not None and unit is not None else latest.get(index, Fraction(0))
        latest[index] = time
        packet.stream = copied[index]
        yield time, 1, packet
