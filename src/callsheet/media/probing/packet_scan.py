"""Read all packets of a file without decoding: its real length, the jumps of its clock, changes of its audio format.

Headers of some formats state no length, and FFmpeg estimates it from the first bit rate. Files that were put behind
each other state only the length of the first one. The prober imports this module, so it imports only PyAV.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

_BACKWARD_JUMP = Fraction(1, 10)
_FORWARD_JUMP = 10
"""Seconds between two packets that FFmpeg takes for a new clock, in formats whose clock may jump."""
_STEADY_FORMATS = frozenset({"asf"})
"""Formats whose clock never jumps: a long pause between two pictures is one."""
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350)
_MPEG_RATES = (44_100, 48_000, 32_000)
_AC3_RATES = (48_000, 44_100, 32_000)
_DTS_RATES = {1: 8000, 2: 16_000, 3: 32_000, 6: 11_025, 7: 22_050, 8: 44_100, 11: 12_000, 12: 24_000, 13: 48_000}
_HEADER = 12
"""Bytes of a packet in which its format is stated."""
_MPEG_SAMPLES = {1: 384, 2: 1152, 3: 1152}
"""Samples per frame of MPEG-1 audio by layer."""

AudioHeader = tuple[tuple[int, ...], Fraction | None]
"""The format of an audio frame, and its duration in seconds; None: as the packet says."""


@dataclass(slots=True)
class _Stream:
    start: Fraction | None = None
    end: Fraction | None = None
    seconds: Fraction = Fraction(0)
    """The sum of the durations of all packets."""
    next_dts: Fraction | None = None
    last_dts: Fraction | None = None
    usual: Fraction = Fraction(0)
    """Seconds between the last two packets, for formats whose packets state no duration."""
    format: tuple[int, ...] | None = None
    settings: bytes | None = None
    """The decoder settings that a packet brought last."""
    since_key: int = 0
    longest_gop: int = 0
    jumps: list[int] = field(default_factory=list)
    """The position in bytes of the first packet after each jump of the clock."""


@dataclass(slots=True)
class PacketScan:
    """What the packets of a file say."""

    streams: dict[int, _Stream] = field(default_factory=dict)
    audio_changes: int = 0
    """Number of changes of the sample rate or the channels of an audio stream."""
    may_jump: bool = True
    """Whether the clock of the format may jump."""

    @property
    def clock_jumps(self) -> list[int]:
        """The position in bytes of the first packet after each jump, of any stream."""
        every = [each.jumps for each in self.streams.values()]
        most = max(map(len, every), default=0)
        return [min(positions) for positions in zip(*(jumps for jumps in every if len(jumps) == most), strict=True)]

    @property
    def seconds(self) -> float | None:
        """Duration of the file. A jump of the clock takes no time."""
        if self.clock_jumps:
            return float(max((each.seconds for each in self.streams.values()), default=0)) or None
        starts = [each.start for each in self.streams.values() if each.start is not None]
        ends = [each.end for each in self.streams.values() if each.end is not None]
        return (float(max(ends) - min(starts)) or None) if starts and ends else None

    def _seconds_of(self, stream: _Stream) -> Fraction:
        if self.clock_jumps or stream.start is None or stream.end is None:
            return stream.seconds
        return stream.end - stream.start

    @property
    def longest_gop(self) -> int:
        """Frames from one key frame to the next."""
        return max((each.longest_gop for each in self.streams.values()), default=0)

    def facts(self) -> dict[str, Any]:
        """Return the scan as JSON."""
        return {
            "seconds": self.seconds,
            "clock_jumps": self.clock_jumps,
            "audio_changes": self.audio_changes,
            "longest_gop": self.longest_gop,
            "streams": {str(index): float(self._seconds_of(each)) for index, each in self.streams.items()},
        }


def scan_packets(container: InputContainer) -> PacketScan:
    """Read all packets of the video and audio streams, from the start of the file."""
    scan = PacketScan(may_jump=container.format.name not in _STEADY_FORMATS)
    streams = [
        stream
        for stream in container.streams
        if stream.type in ("video", "audio") and not stream.disposition & Disposition.attached_pic
    ]
    raw_audio = len(streams) == 1 and streams[0].type == "audio"
    for packet in read_packets(container, streams):
        if packet.size:
            _add(scan, packet, raw=raw_audio)
    for each in scan.streams.values():
        each.longest_gop = max(each.longest_gop, each.since_key)
    return scan


def read_packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator["Packet[Any]"]:
    """Yield the packets of streams. A transport stream may continue with other streams, which are left out."""
    try:
        yield from container.demux(streams)
    except IndexError:  # PyAV does not know them, and looks for them at the end
        return


def _add(scan: PacketScan, packet: "Packet[Any]", *, raw: bool) -> None:
    stream = scan.streams.setdefault(packet.stream.index, _Stream())
    unit = packet.time_base or Fraction(0)
    seconds = (packet.duration or 0) * unit
    if packet.stream.type == "audio":
        seconds = _add_audio(scan, stream, packet, seconds)
    else:
        _add_video(stream, packet)
    seconds = seconds or stream.usual
    stream.seconds += seconds
    if raw:  # the timestamps of such files are computed from the first frame, although later ones may differ
        stream.start, stream.end = Fraction(0), stream.seconds
    elif packet.pts is not None:
        start = packet.pts * unit
        stream.start = start if stream.start is None else min(stream.start, start)
        stream.end = start + seconds if stream.end is None else max(stream.end, start + seconds)
    if packet.dts is not None:
        dts, expected = packet.dts * unit, stream.next_dts
        if scan.may_jump and expected is not None and not -_BACKWARD_JUMP <= dts - expected <= _FORWARD_JUMP:
            stream.jumps.append(packet.pos if packet.pos is not None else -1)
        stream.next_dts = dts + seconds
        if stream.last_dts is not None and 0 < dts - stream.last_dts <= 1:
            stream.usual = dts - stream.last_dts
        stream.last_dts = dts


def _add_audio(scan: PacketScan, stream: _Stream, packet: "Packet[Any]", seconds: Fraction) -> Fraction:
    scan.audio_changes += _brings_new_settings(stream, packet)
    header = _audio_header(packet)
    if header is None:
        return seconds
    if stream.format is not None and stream.format != header[0]:
        scan.audio_changes += 1
    stream.format = header[0]
    return seconds if header[1] is None else header[1]


def _brings_new_settings(stream: _Stream, packet: "Packet[Any]") -> bool:
    """Return whether a packet changes the settings of the decoder, as in FLV."""
    if not packet.has_sidedata("new_extradata"):
        return False
    before = stream.settings or packet.stream.codec_context.extradata
    stream.settings = bytes(packet.get_sidedata("new_extradata"))
    return before is not None and stream.settings != before


def _audio_header(packet: "Packet[Any]") -> AudioHeader | None:
    name = packet.stream.codec_context.name
    if name == "aac_latm" or (name == "aac" and packet.stream.container.format.name == "flv"):
        return _decoded_format(packet)
    read = _HEADERS.get(name)
    return read(bytes(memoryview(packet)[:_HEADER])) if read is not None and packet.size >= _HEADER else None


def _decoded_format(packet: "Packet[Any]") -> AudioHeader | None:
    """Return the format of a frame of AAC without a header of its own, or with one that is too long-winded."""
    try:
        frames = packet.decode()
    except av.FFmpegError:
        return None
    frame: Any = next(iter(frames), None)
    return None if frame is None else ((frame.sample_rate, frame.layout.nb_channels), None)


def _add_video(stream: _Stream, packet: "Packet[Any]") -> None:
    if packet.is_keyframe:
        stream.longest_gop, stream.since_key = max(stream.longest_gop, stream.since_key), 0
    stream.since_key += 1


def read_adts_header(head: bytes) -> AudioHeader | None:
    """Return the format of an AAC frame with an ADTS header (ISO 13818-7, section 6.2); None without such a header."""
    rate_index, channels = head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or rate_index >= len(_AAC_RATES):
        return None
    blocks = (head[6] & 3) + 1
    return (rate_index, channels), Fraction(1024 * blocks, _AAC_RATES[rate_index])


def read_mpeg_header(head: bytes) -> AudioHeader | None:
    """Return the format of a frame of MPEG audio, layers 1 to 3 (ISO 11172-3, section 2.4.1.3)."""
    version, layer, rate_index = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or version == 1 or layer == 4 or rate_index == 3:
        return None
    is_mono = head[3] >> 6 == 3
    rate = _MPEG_RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 576 if layer == 3 and version != 3 else _MPEG_SAMPLES[layer]
    return (rate, is_mono), Fraction(samples, rate)


def read_ac3_header(head: bytes) -> AudioHeader | None:
    """Return the format of a frame of AC-3 or E-AC-3 (ETSI TS 102 366, sections 4.3 and E.1.2)."""
    if head[:2] != b"\x0b\x77":
        return None
    version = head[5] >> 3
    if version > 10:  # E-AC-3
        return (version, head[4] >> 6, head[4] >> 1 & 7, head[4] & 1), None
    rate, mode = head[4] >> 6, head[6] >> 5
    if rate >= len(_AC3_RATES):
        return None
    mix_bits = 2 * (mode & 1 and mode != 1) + 2 * (mode >> 2 & 1) + 2 * (mode == 2)
    has_bass = (head[6] << 8 | head[7]) >> 12 - mix_bits & 1
    return (version, rate, mode, has_bass), Fraction(1536, _AC3_RATES[rate])


def read_dts_header(head: bytes) -> AudioHeader | None:
    """Return the format of a core frame of DTS (ETSI TS 102 114, section 5.3)."""
    if head[:4] != b"\x7f\xfe\x80\x01":
        return None
    bits = int.from_bytes(head[:12], "big")
    blocks, mode, rate = bits >> 96 - 46 & 127, bits >> 96 - 66 & 63, bits >> 96 - 70 & 15
    bass = bits >> 96 - 87 & 3
    seconds = Fraction((blocks + 1) * 32, _DTS_RATES[rate]) if rate in _DTS_RATES else None
    return (mode, rate, bass), seconds


def read_flac_header(head: bytes) -> AudioHeader | None:
    """Return the format of a FLAC frame (RFC 9639, section 9.1)."""
    if head[0] != 0xFF or head[1] & 0xFC != 0xF8:
        return None
    channels = head[3] >> 4
    # 8 to 10 are stereo with a difference channel.
    return (head[2] & 15, 1 if 8 <= channels <= 10 else channels), None


_HEADERS: dict[str, Callable[[bytes], AudioHeader | None]] = {
    "aac": read_adts_header,
    "mp1": read_mpeg_header,
    "mp1float": read_mpeg_header,
    "mp2": read_mpeg_header,
    "mp2float": read_mpeg_header,
    "mp3": read_mpeg_header,
    "mp3float": read_mpeg_header,
    "ac3": read_ac3_header,
    "eac3": read_ac3_header,
    "dca": read_dts_header,
    "dts": read_dts_header,
    "flac": read_flac_header,
}
