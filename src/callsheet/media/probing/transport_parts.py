"""Find the places in a transport stream from which its video or its main audio is another stream (ISO 13818-1, 2.4.4).

FFmpeg continues with the streams that it found first: after such a place there would be nothing.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PACKET = 188
_LEADS = (0, 4)
"""Bytes before a packet: recordings of cameras and discs have a time stamp there."""
_SYNC = 0x47
_PROGRAM_ASSOCIATION = b"\x47\x40\x00"
"""Start of the packet with which the list of programs begins."""
_MAX_TABLE_DISTANCE = 64 * 192
"""Bytes from the list of programs to the table of its program."""
_VIDEO = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0xEA})
_AUDIO = frozenset({0x03, 0x04, 0x0F, 0x11, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87})
_PRIVATE = 0x06
_AUDIO_DESCRIPTORS = frozenset({0x6A, 0x7A, 0x7B, 0x7C})
"""AC-3, E-AC-3, DTS and AAC, as broadcasts in Europe describe them."""
_REGISTRATION = 0x05
_AUDIO_NAMES = frozenset({b"AC-3", b"EAC3", b"DTS1", b"DTS2", b"DTS3", b"Opus", b"BSSD"})

Stream = tuple[int, int]
"""Type and packet identifier."""


@dataclass(frozen=True, slots=True)
class _Program:
    video: Stream | None
    audio: Stream | None
    """The first one."""


def transport_starts(path: Path) -> list[int]:
    """Return the position in bytes of each table that names another video or main audio; the first one is 0.

    Only [0] for a stream with several programs, or if it cannot be read.
    """
    starts, last = [0], None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for position, program in _programs(content):
            if last is not None and program != last:
                starts.append(position)
            last = program
    return starts


def _programs(content: mmap.mmap) -> Iterator[tuple[int, _Program]]:
    """Yield the position of each list of one program, with what the table of the program names."""
    at = content.find(_PROGRAM_ASSOCIATION)
    while at >= 0:
        lead = next((lead for lead in _LEADS if _is_packet(content, at, _PACKET + lead)), None)
        identifier = None if lead is None else _program_table(content[at : at + _PACKET])
        if lead is not None and identifier is not None:
            program = _next_program(content, at + _PACKET + lead, identifier)
            if program is not None:
                yield at - lead, program
        at = content.find(_PROGRAM_ASSOCIATION, at + len(_PROGRAM_ASSOCIATION))


def _is_packet(content: mmap.mmap, at: int, size: int) -> bool:
    """Return whether packets start at a position and behind it, unless it is the last one."""
    return at + size >= len(content) or content[at + size] == _SYNC


def _section(packet: bytes, table: int) -> bytes | None:
    """Return the contents of a table that fits into one packet; None for another one."""
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if start >= len(packet):
        return None
    start += 1 + packet[start]
    head = packet[start : start + 3]
    if len(head) < 3 or head[0] != table:
        return None
    end = start + 3 + ((head[1] & 0x0F) << 8 | head[2]) - 4  # without the checksum
    return packet[start + 8 : end] if end <= len(packet) else None


def _program_table(packet: bytes) -> int | None:
    """Return the packet identifier of the table of the only program; None if there are several."""
    entries = _section(packet, 0x00) or b""
    pairs = [
        (int.from_bytes(entries[at : at + 2], "big"), int.from_bytes(entries[at + 2 : at + 4], "big") & 0x1FFF)
        for at in range(0, len(entries) - 3, 4)
    ]
    tables = [identifier for number, identifier in pairs if number != 0]  # 0 is information about the network
    return tables[0] if len(tables) == 1 else None


def _next_program(content: mmap.mmap, start: int, identifier: int) -> _Program | None:
    mark = bytes((_SYNC, 0x40 | identifier >> 8, identifier & 0xFF))
    at = content.find(mark, start, start + _MAX_TABLE_DISTANCE)
    table = None if at < 0 else _section(content[at : at + _PACKET], 0x02)
    return None if table is None or len(table) < 4 else _read_program(table)


def _read_program(table: bytes) -> _Program:
    video = audio = None
    at = 4 + ((table[2] & 0x0F) << 8 | table[3])
    while at + 5 <= len(table):
        kind, identifier = table[at], int.from_bytes(table[at + 1 : at + 3], "big") & 0x1FFF
        length = (table[at + 3] & 0x0F) << 8 | table[at + 4]
        descriptors = table[at + 5 : at + 5 + length]
        if kind in _VIDEO:
            video = video or (kind, identifier)
        elif kind in _AUDIO or (kind == _PRIVATE and _describes_audio(descriptors)):
            audio = audio or (kind, identifier)
        at += 5 + length
    return _Program(video, audio)


def _describes_audio(descriptors: bytes) -> bool:
    at = 0
    while at + 2 <= len(descriptors):
        tag, content = descriptors[at], descriptors[at + 2 : at + 2 + descriptors[at + 1]]
        if tag in _AUDIO_DESCRIPTORS or (tag == _REGISTRATION and content[:4] in _AUDIO_NAMES):
            return True
        at += 2 + descriptors[at + 1]
    return False
