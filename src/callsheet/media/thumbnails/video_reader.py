"""Video reader with random access, which decodes as few frames as possible."""

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from callsheet.media.probing.mp4_boxes import is_track_mirrored
from callsheet.media.thumbnails.display_image import FrameShape
from callsheet.media.thumbnails.packet_queue import PacketQueue
from callsheet.media.thumbnails.stream_decoder import stream_decoder

_MIN_SKIPPED = 0.2
"""Seconds. Before nearer frames, nothing is skipped."""
_MAX_DECODE_AHEAD = 2.0
"""Seconds to decode forward instead of seeking, in files without an index."""


class VideoReader:
    """The frames of an open file. Times are in seconds from its start."""

    def __init__(
        self,
        container: InputContainer,
        *,
        max_pixels: int,
        threads: int,
        index: int | None = None,
        start: float | None = None,
        decoder: str | None = None,
    ) -> None:
        """Open the video stream with this index; None: the first one that is no cover art.

        `start` is the timestamp at which the file starts; None: that of its first frame. `decoder` is the name of the
        decoder; None: the default one. Raises ValueError if there is no such stream, or if its frames exceed
        `max_pixels`.
        """
        streams = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
        stream = next((s for s in streams if index in (None, s.index)), None)
        if stream is None:
            raise ValueError("it contains no video")
        if stream.codec_context.width * stream.codec_context.height > max_pixels:
            raise ValueError("its frames are too large to be decoded safely")
        self._decoder = stream_decoder(stream, decoder, threads)
        mirrored = is_track_mirrored(Path(container.name.removeprefix("file:")), stream.id)
        size = (stream.codec_context.width, stream.codec_context.height)
        self.shape = FrameShape(float(stream.sample_aspect_ratio or 1), mirrored, size)
        self._container = container
        self._stream: VideoStream = stream
        self._stored_aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio
        self._time_base = float(stream.time_base or 1 / av.time_base)
        first = (stream.start_time or 0) * self._time_base
        self._start = first if start is None else min(start, first)
        self._delay = first - self._start
        self.duration = self._delay + self._find_duration()
        self._packets = PacketQueue(iter(()))
        self._frames: Iterator[VideoFrame] = iter(())
        self._needed: int | None = None
        """Timestamp before which only frames are decoded that others refer to."""
        self._current: VideoFrame | None = None
        self._next: VideoFrame | None = None
        self._key_time = 0.0
        self._last_dts = 0

    def frame_at(self, time: float, tolerance: float = 0.0) -> tuple[VideoFrame, float]:
        """Return the frame that is displayed at a time, and its timestamp.

        A key frame up to `tolerance` seconds before that time is returned instead, which costs a single decode. For a
        truncated file, its last frame is returned.

        Raises ValueError if no frame can be decoded.
        """
        time = max(time, self._delay)
        decode_forward = self._can_decode_forward(time)
        if tolerance > 0 and not (decode_forward and time - self._key_time > tolerance):
            key_frame = self._key_frame_before(time)
            if key_frame is not None and abs(time - key_frame[1]) <= tolerance:
                return key_frame
            decode_forward = False  # the search for the key frame moved the position
        if not decode_forward:
            self._seek(time)
        self._advance(time)
        assert self._current is not None  # noqa: S101 - _seek sets it or raises
        return self._current, self._time(self._current)

    def frames(self, start: float = 0.0, end: float = float("inf")) -> Iterator[tuple[VideoFrame, float]]:
        """Decode all frames from `start` to `end`, and the first frame after `end`."""
        frame, time = self.frame_at(start)
        yield frame, time
        while self._next is not None and time <= end:
            frame, time = self.frame_at(self._time(self._next))
            yield frame, time

    def key_frames(self, min_distance: float) -> Iterator[tuple[VideoFrame, float]]:
        """Decode only key frames that are at least `min_distance` seconds apart."""
        self._current = None
        earliest = float("-inf")
        # The `discard` option of the stream would skip other frames sooner, but yields wrong timestamps in MP4.
        for packet in self._packets_from(0):
            if packet.is_keyframe and packet.pts is not None and packet.pts * self._time_base >= earliest:
                earliest = packet.pts * self._time_base + min_distance
                yield from ((frame, self._time(frame)) for frame in self._decode_single(packet))

    def _can_decode_forward(self, time: float) -> bool:
        """Return whether decoding forward from the current frame is faster than seeking."""
        if self._current is None or time < self._time(self._current):
            return False
        if self._next is None or time < self._time(self._next):
            return True
        entries = self._stream.index_entries
        key = entries.search_timestamp(self._ticks(time))
        if key < 0:
            return time - self._time(self._current) < _MAX_DECODE_AHEAD
        return entries[key].timestamp <= self._last_dts

    def _key_frame_before(self, time: float) -> tuple[VideoFrame, float] | None:
        self._current = None
        for position, latest in _seek_positions(time):
            key = next((packet for packet in self._packets_from(position) if packet.is_keyframe), None)
            frames = self._decode_single(key) if key is not None else []
            if frames and self._time(frames[0]) <= latest + self._time_base / 2:
                return frames[0], self._time(frames[0])
        return None

    def _seek(self, time: float) -> None:
        for position, latest in _seek_positions(time):
            self._packets = PacketQueue(self._packets_from(position))
            self._frames = self._decode_packets()
            self._skip_until(time)
            first = next(self._frames, None)
            if first is not None and self._time(first) <= latest + self._time_base / 2:
                self._current, self._next = first, next(self._frames, None)
                self._key_time = self._time(first)
                return
        raise ValueError("none of its frames can be decoded")

    def _advance(self, time: float) -> None:
        if self._next is not None and time - self._time(self._next) > _MIN_SKIPPED:
            self._skip_until(time)
        while self._next is not None and self._time(self._next) <= time + self._time_base / 2:
            self._current, self._next = self._next, next(self._frames, None)
            if self._current.key_frame:
                self._key_time = self._time(self._current)

    def _skip_until(self, time: float) -> None:
        self._needed = self._packets.shown_at(self._ticks(time + self._time_base / 2))

    def _decode_packets(self) -> Iterator[VideoFrame]:
        for packet in self._packets:
            self._last_dts = packet.dts if packet.dts is not None else self._last_dts
            is_unseen = self._needed is not None and packet.pts is not None and packet.pts < self._needed
            self._decoder.skip_frame = "NONREF" if is_unseen else "DEFAULT"
            yield from self._decode(packet)
        yield from self._decode(None)

    def _packets_from(self, position: float) -> Iterator["Packet[VideoStream]"]:
        """Yield packets from the key frame before a time, to the end or the truncation of the file."""
        try:
            self._container.seek(self._ticks(position), stream=self._stream, backward=True)
            if self._decoder is not self._stream.codec_context:  # which a seek flushes
                self._decoder.flush_buffers()
            yield from self._container.demux(self._stream)
        except av.FFmpegError:
            return

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:  # a damaged packet loses only its own frame
            return []
        if (aspect := self._decoder.sample_aspect_ratio) and aspect != self._stored_aspect:
            for frame in frames:
                frame.opaque = float(aspect)
        return frames

    def _decode_single(self, key: "Packet[VideoStream]") -> list[VideoFrame]:
        """Decode one packet and drain the decoder, which otherwise waits for more packets to thread or reorder."""
        self._decoder.skip_frame = "DEFAULT"
        frames = [*self._decode(key), *self._decode(None)]
        self._decoder.flush_buffers()
        return frames

    def _ticks(self, time: float) -> int:
        return int((time + self._start) / self._time_base)

    def _time(self, frame: VideoFrame) -> float:
        return max(0.0, (frame.pts or 0) * self._time_base - self._start)

    def _find_duration(self) -> float:
        if self._stream.duration:
            return float(self._stream.duration * self._time_base)
        if self._container.duration:
            return float(self._container.duration / av.time_base)
        ends = [(p.pts or 0) + (p.duration or 0) for p in self._packets_from(0) if p.pts is not None]
        return float(max(ends, default=0) * self._time_base - self._start - self._delay)


def _seek_positions(time: float) -> Iterator[tuple[float, float]]:
    """Yield positions to seek to, each with the latest acceptable time of the first frame that is found there.

    The first position is the time itself. Earlier ones follow at growing distances, for truncated files, then the
    start.
    """
    step = 0.0
    while time > step:
        yield time - step, time
        step = 2 * step + 1
    yield 0.0, time
    # Seeking to the start of a transport stream returns its second key frame, so seek before the start.
    yield -1.0, float("inf")
    yield 0.0, float("inf")
