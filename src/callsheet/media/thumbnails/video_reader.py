"""A video in which one can look at any moment, and go on from there; nothing is decoded that need not be."""

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_NEAR = 2.0
"""Seconds to decode onwards rather than to seek, in files that have no index."""


class VideoReader:
    """The pictures of an open file, by their times in seconds from the first one."""

    def __init__(self, container: InputContainer, *, max_pixels: int, threads: int) -> None:
        """Raises ValueError when there is no picture in the file, or one too large to be decoded safely."""
        stream = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
        if stream is None:
            raise ValueError("there is no picture in it")
        if stream.codec_context.width * stream.codec_context.height > max_pixels:
            raise ValueError("its pictures are too large to be decoded safely")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        self.shape = float(stream.sample_aspect_ratio or 1)
        self._container = container
        self._stream: VideoStream = stream
        self._base = float(stream.time_base or 1 / av.time_base)
        self._start = (stream.start_time or 0) * self._base
        self.duration = self._find_duration()
        self._frames: Iterator[VideoFrame] = iter(())
        self._shown: VideoFrame | None = None
        self._next: VideoFrame | None = None
        self._key_time = 0.0
        self._read_to = 0

    def frame_at(self, wanted: float, slack: float = 0.0) -> tuple[VideoFrame, float]:
        """Return the picture seen at a moment, with its time.

        A key frame that lies up to `slack` seconds before it is taken instead, which costs a single decode.
        Where the file breaks off, its last picture is returned. Raises ValueError when there is none at all.
        """
        going_on = self._follows(wanted)
        if slack > 0 and not (going_on and wanted - self._key_time > slack):
            found = self._key_frame(wanted)
            if found is not None and abs(wanted - found[1]) <= slack:
                return found
            going_on = False
        if not going_on:
            self._go_to(wanted)
        self._advance(wanted)
        assert self._shown is not None  # noqa: S101 - _go_to saw to it
        return self._shown, self._time(self._shown)

    def pictures(self, start: float = 0.0, end: float = float("inf")) -> Iterator[tuple[VideoFrame, float]]:
        """Decode all pictures from one moment to another, and one more, which ends the last of them."""
        frame, time = self.frame_at(start)
        yield frame, time
        while self._next is not None and time <= end:
            frame, time = self.frame_at(self._time(self._next))
            yield frame, time

    def key_frames(self, apart: float) -> Iterator[tuple[VideoFrame, float]]:
        """Decode the key frames alone, leaving out those that come less than `apart` seconds after the last."""
        self._shown = None
        earliest = float("-inf")
        # The stream's `discard` would leave out the others sooner, but tells wrong times with it in MP4.
        for packet in self._packets_from(0):
            if packet.is_keyframe and packet.pts is not None and packet.pts * self._base >= earliest:
                earliest = packet.pts * self._base + apart
                yield from ((frame, self._time(frame)) for frame in self._alone(packet))

    def _follows(self, wanted: float) -> bool:
        """Tell whether it is quicker to decode onwards from where we are than to seek."""
        if self._shown is None or wanted < self._time(self._shown):
            return False
        if self._next is None or wanted < self._time(self._next):
            return True
        entries = self._stream.index_entries
        key = entries.search_timestamp(self._ticks(wanted))
        if key < 0:
            return wanted - self._time(self._shown) < _NEAR
        return entries[key].timestamp <= self._read_to

    def _key_frame(self, wanted: float) -> tuple[VideoFrame, float] | None:
        self._shown = None
        for position, latest in _back_from(wanted):
            key = next((packet for packet in self._packets_from(position) if packet.is_keyframe), None)
            frames = self._alone(key) if key is not None else []
            if frames and self._time(frames[0]) <= latest + self._base / 2:
                return frames[0], self._time(frames[0])
        return None

    def _go_to(self, wanted: float) -> None:
        for position, latest in _back_from(wanted):
            self._frames = self._decoded_from(position)
            first = next(self._frames, None)
            if first is not None and self._time(first) <= latest + self._base / 2:
                self._shown, self._next = first, next(self._frames, None)
                self._key_time = self._time(first)
                return
        raise ValueError("no picture in it can be decoded")

    def _advance(self, wanted: float) -> None:
        while self._next is not None and self._time(self._next) <= wanted + self._base / 2:
            self._shown, self._next = self._next, next(self._frames, None)
            if self._shown.key_frame:
                self._key_time = self._time(self._shown)

    def _decoded_from(self, position: float) -> Iterator[VideoFrame]:
        for packet in self._packets_from(position):
            self._read_to = packet.dts if packet.dts is not None else self._read_to
            yield from self._decode(packet)
        yield from self._decode(None)

    def _packets_from(self, position: float) -> Iterator["Packet[VideoStream]"]:
        """Read on from the key frame before a moment, until the file ends or breaks off."""
        try:
            self._container.seek(self._ticks(position), stream=self._stream, backward=True)
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            return

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except av.FFmpegError:  # a damaged packet costs its own picture only
            return []

    def _alone(self, key: "Packet[VideoStream]") -> list[VideoFrame]:
        """Decode one packet without those after it, for which a decoder waits that has threads or reorders."""
        frames = [*self._decode(key), *self._decode(None)]
        self._stream.codec_context.flush_buffers()
        return frames

    def _ticks(self, time: float) -> int:
        return int((time + self._start) / self._base)

    def _time(self, frame: VideoFrame) -> float:
        return max(0.0, (frame.pts or 0) * self._base - self._start)

    def _find_duration(self) -> float:
        if self._stream.duration:
            return float(self._stream.duration * self._base)
        if self._container.duration:
            return float(self._container.duration / av.time_base)
        ends = [(p.pts or 0) + (p.duration or 0) for p in self._packets_from(0) if p.pts is not None]
        return float(max(ends, default=0) * self._base - self._start)


def _back_from(wanted: float) -> Iterator[tuple[float, float]]:
    """Where to seek for a moment, and how late the first picture found may be.

    There, then ever further before it, for files that break off, and at the start.
    """
    step = 0.0
    while wanted > step:
        yield wanted - step, wanted
        step = 2 * step + 1
    yield 0.0, wanted
    # Before the start: sought at it, a transport stream begins with its second key frame.
    yield -1.0, float("inf")
    yield 0.0, float("inf")
