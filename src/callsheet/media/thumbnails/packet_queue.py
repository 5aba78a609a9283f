"""Packets of a video that are read ahead, so that frames before a time that are not shown need not be decoded."""

from collections import deque
from collections.abc import Iterator

from av.packet import Packet
from av.video.stream import VideoStream

_MAX_AHEAD = 1000
"""Packets. A stream with more of them up to a time is decoded completely."""


class PacketQueue:
    """The packets of a stream in decoding order."""

    def __init__(self, packets: Iterator["Packet[VideoStream]"]) -> None:
        self._packets = packets
        self._ahead: deque[Packet[VideoStream]] = deque()

    def __iter__(self) -> Iterator["Packet[VideoStream]"]:
        while (packet := self._ahead.popleft() if self._ahead else next(self._packets, None)) is not None:
            yield packet

    def shown_at(self, time: int) -> int | None:
        """Return the timestamp of the frame that is displayed at a time, if the packets up to it show that.

        Reads ahead as far as needed. Times are in the time base of the stream.
        """
        shown: int | None = None
        for packet in self._read_until(time):
            if packet.size and (packet.pts is None or packet.dts is None):
                return None
            if packet.pts is not None and packet.pts <= time:
                shown = packet.pts if shown is None else max(shown, packet.pts)
        return shown if len(self._ahead) < _MAX_AHEAD else None

    def _read_until(self, time: int) -> "deque[Packet[VideoStream]]":
        # A frame is never displayed before it is decoded.
        while len(self._ahead) < _MAX_AHEAD and not (self._ahead and (self._ahead[-1].dts or 0) > time):
            packet = next(self._packets, None)
            if packet is None:
                break
            self._ahead.append(packet)
        return self._ahead
