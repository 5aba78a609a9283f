"""The top-level boxes of an MP4 or QuickTime file (ISO 14496-12, section 4.2)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_TO_END_OF_FILE = 0
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
        end, start = os.fstat(file.fileno()).st_size, 0
        while start < end:
            file.seek(start)
            box = _read_box(file, start, end)
            if box is None:
                return
            yield box
            start += box.size


def is_fast_start(path: Path) -> bool | None:
    """Return whether an MP4 has its index (`moov`) before its media data (`mdat`), as `+faststart` writes it.

    None if the file has neither, as files of other formats.
    """
    for box in top_level_boxes(path):
        if box.type in (b"moov", b"mdat"):
            return box.type == b"moov"
    return None


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
