"""Find the starts of files that were put behind each other in one file, as by `cat`.

Players and FFmpeg stop at the end of the first one, or take the header of the next one for content.
"""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

from callsheet.media.probing.mp4_boxes import top_level_boxes
from callsheet.media.probing.ogg_chain import chain_links
from callsheet.media.probing.transport_parts import transport_starts

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_UNKNOWN_SIZE = 1_500_000_000
"""Bytes. A WAV that states more was written before its size was known."""
_AMR = b"#!AMR\n"
_MAX_SEARCHED = 2**30
"""Bytes. A larger file is not searched."""
_MATROSKA_HEAD = 64
"""Bytes from the start of a Matroska file in which its type is stated."""


def joined_files(path: Path, format: str | None) -> list[int]:
    """Return the position in bytes at which each file starts; a file of its own starts once, at 0.

    `format` is FFmpeg's name of the demuxer. Empty for formats that are not looked at.
    """
    finder = _FINDERS.get(format or "")
    return [] if finder is None else finder(path)


def _mp4_starts(path: Path) -> list[int]:
    """A file has one `ftyp` and one `moov`. Segments of a stream begin with `styp`."""
    starts, indexes = [0], 0
    for box in top_level_boxes(path):
        if box.type == b"ftyp" and indexes == len(starts):
            starts.append(box.start)
        indexes += box.type == b"moov" and indexes < len(starts)
    return starts if indexes == len(starts) else starts[:indexes] or [0]


def _wav_starts(path: Path) -> list[int]:
    with path.open("rb") as file:
        stated = int.from_bytes(file.read(8)[4:8], "little")
    if _UNKNOWN_SIZE > stated >= path.stat().st_size - 9:  # nothing is behind it
        return [0]
    return [at - 8 for at in _found(path, b"WAVE", b"RIFF", 8)] or [0]


def _matroska_starts(path: Path) -> list[int]:
    """By their headers, since the length of a recording that was streamed is unknown."""
    with path.open("rb") as file:
        end = _segment_end(file.read(_MATROSKA_HEAD))
    if end is not None and end >= path.stat().st_size:
        return [0]
    with _content(path) as content:
        return [
            start
            for start in _positions(content, _EBML)
            if start == 0 or b"\x42\x82" in content[start : start + _MATROSKA_HEAD]
        ]


def _segment_end(head: bytes) -> int | None:
    """Return where the first segment ends; None if it states no length."""
    size, content = _element_size(head, 4)
    segment = content + (size or 0)
    if head[segment : segment + 4] != _SEGMENT:
        return None
    size, content = _element_size(head, segment + 4)
    return None if size is None else content + size


def _element_size(head: bytes, at: int) -> tuple[int | None, int]:
    """Return the size of an EBML element, None if it is unknown, and the position of its content."""
    if at >= len(head) or not head[at]:
        return None, at
    length = 9 - head[at].bit_length()
    bits = 7 * length
    value = int.from_bytes(head[at : at + length], "big") & (1 << bits) - 1
    return (None if value == (1 << bits) - 1 else value), at + length


def _flv_starts(path: Path) -> list[int]:
    return [start for start in _found(path, b"FLV\x01", b"", 0) if start == 0 or _is_flv(path, start)]


def _is_flv(path: Path, start: int) -> bool:
    """Return whether a header of FLV is at a position: flags, its own size, and the size of no tag before it."""
    with path.open("rb") as file:
        file.seek(start)
        head = file.read(13)
    return len(head) == 13 and head[4] & 0xFA == 0 and head[5:] == b"\0\0\0\x09\0\0\0\0"


def _amr_starts(path: Path) -> list[int]:
    return _found(path, _AMR, b"", 0)


def _found(path: Path, mark: bytes, before: bytes, distance: int) -> list[int]:
    """Return the positions of a mark that stands `distance` bytes after other bytes."""
    with _content(path) as content:
        return [
            at for at in _positions(content, mark) if content[at - distance : at - distance + len(before)] == before
        ]


def _positions(content: mmap.mmap, mark: bytes) -> Iterator[int]:
    at = content.find(mark)
    while at >= 0:
        yield at
        at = content.find(mark, at + len(mark), min(len(content), _MAX_SEARCHED))


def _content(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


_FINDERS: dict[str, Callable[[Path], list[int]]] = {
    "ogg": chain_links,
    "mov,mp4,m4a,3gp,3g2,mj2": _mp4_starts,
    "wav": _wav_starts,
    "matroska,webm": _matroska_starts,
    "flv": _flv_starts,
    "amr": _amr_starts,
    "mpegts": transport_starts,
}
