"""The top-level boxes of an MP4 or QuickTime file (ISO 14496-12, section 4.2)."""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_TO_END_OF_FILE = 0
_MAX_HEADER = 256
_LARGE_SIZE = 1
"""The size is in the 8 bytes after the box type."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its four-character type, and its position and size in bytes, with the header."""

    type: bytes
    start: int
    size: int


def top_level_boxes(path: Path) -> Iterator[Box]:
    """Yield the boxes of a file in order, up to its end or to the first invalid header.

    A box that extends beyond the end of the file is the last one. Each step advances by at least a header, so that
    the walk ends for every file.
    """
    with path.open("rb") as file:
        yield from _boxes(file, 0, os.fstat(file.fileno()).st_size)


def is_fast_start(path: Path) -> bool | None:
    """Return whether an MP4 has its index (`moov`) before its media data (`mdat`), as `+faststart` writes it.

    None if the file has neither, as files of other formats.
    """
    for box in top_level_boxes(path):
        if box.type in (b"moov", b"mdat"):
            return box.type == b"moov"
    return None


def incomplete_fragment(path: Path) -> int | None:
    """Return where the index of the last fragment of a recording starts, if the file ends inside of it.

    FFmpeg refuses such a file, although all fragments before it are whole. None for all other files.
    """
    if not path.is_file():  # opening a pipe may never end
        return None
    boxes = list(top_level_boxes(path))
    is_fragmented = any(box.type == b"moof" for box in boxes[:-1])
    if not is_fragmented or boxes[-1].type != b"moof" or boxes[-1].start + boxes[-1].size <= path.stat().st_size:
        return None
    return boxes[-1].start


def is_track_mirrored(path: Path, track: int) -> bool:
    """Return whether the display matrix of a track mirrors it, as selfie cameras write it. False for other formats."""
    with path.open("rb") as file:
        for movie in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            if movie.type == b"moov":
                return any(_mirrors(header, track) for header in _track_headers(file, movie))
    return False


def has_several_descriptions(path: Path, track: int) -> bool:
    """Return whether the samples of a track have several formats, as after joining recordings. False for others."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for trak in descend(file, 0, size, (b"moov", b"trak")):
            header = next(descend(file, trak.start + 8, trak.start + trak.size, (b"tkhd",)), None)
            if header is None or track_number(read_contents(file, header)) != track:
                continue
            inner = (b"mdia", b"minf", b"stbl", b"stsd")
            for box in descend(file, trak.start + 8, trak.start + trak.size, inner):
                return int.from_bytes(read_contents(file, box)[4:8], "big") > 1
    return False


def auxiliary_tracks(path: Path) -> frozenset[int]:
    """Return the numbers of the tracks that belong to another one, such as the alpha channel of an animated AVIF."""
    found = set()
    with path.open("rb") as file:
        for trak in descend(file, 0, os.fstat(file.fileno()).st_size, (b"moov", b"trak")):
            inside = trak.start + 8, trak.start + trak.size
            header = next(descend(file, *inside, (b"tkhd",)), None)
            handler = next(descend(file, *inside, (b"mdia", b"hdlr")), None)
            if header is not None and handler is not None and read_contents(file, handler)[8:12] == b"auxv":
                found.add(track_number(read_contents(file, header)))
    return frozenset(found)


def descend(file: BinaryIO, start: int, end: int, types: Sequence[bytes]) -> Iterator[Box]:
    """Yield the boxes of the last type in a part of a file, inside those of the types before it."""
    for box in _boxes(file, start, end):
        if box.type == types[0] and len(types) == 1:
            yield box
        elif box.type == types[0]:
            yield from descend(file, box.start + 8, box.start + box.size, types[1:])


def read_contents(file: BinaryIO, box: Box, most: int = _MAX_HEADER) -> bytes:
    """Return the first bytes in a box, after its header: `most` of them at most."""
    file.seek(box.start + 8)
    return file.read(min(box.size - 8, most))


def _track_headers(file: BinaryIO, movie: Box) -> Iterator[bytes]:
    for trak in _boxes(file, movie.start + 8, movie.start + movie.size):
        if trak.type != b"trak":
            continue
        for box in _boxes(file, trak.start + 8, trak.start + trak.size):
            if box.type == b"tkhd":
                yield read_contents(file, box)


def _mirrors(header: bytes, track: int) -> bool:
    """Return whether a track header is that of the track, and its matrix mirrors."""
    matrix_at = 52 if header[:1] == b"\1" else 40
    if len(header) < matrix_at + 36 or track_number(header) != track:
        return False
    a, b, _, c, d = struct.unpack_from(">5i", header, matrix_at)
    return bool(a * d - b * c < 0)


def track_number(header: bytes) -> int:
    """Return the number of a track from the contents of its `tkhd` box."""
    number_at = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[number_at : number_at + 4], "big")


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes in a part of a file."""
    while start < end:
        file.seek(start)
        box = _read_box(file, start, end)
        if box is None:
            return
        yield box
        start += box.size


def _read_box(file: BinaryIO, start: int, end: int) -> Box | None:
    header = file.read(16)
    if len(header) < 8 or not header[4:8].isalnum():
        return None
    size, header_size = int.from_bytes(header[:4], "big"), 8
    if size == _LARGE_SIZE:
        size, header_size = int.from_bytes(header[8:16], "big"), 16
    elif size == _TO_END_OF_FILE:
        size = end - start
    # A size below that of the header is invalid. Without this check the walk would repeat a box for ever.
    return Box(header[4:8], start, size) if size >= header_size else None
