"""Detect files that were cut off, by the sizes and end marks that their formats contain."""

import struct
from collections.abc import Callable
from pathlib import Path

from callsheet.media.probing.mp4_boxes import top_level_boxes

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_UNKNOWN_RIFF_SIZES = frozenset({0, 0xFFFFFFFF})
"""Written by programs that do not know the size in advance."""
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FLV_SIZE = b"\x00\x08filesize\x00"
"""The name of a number in the metadata, with the lengths before and the type behind it."""
_MAX_STATED = 2**50
_OGG_HEADER = 27
"""Bytes of a page header, up to the table of its segments."""
_MP3_FRAME = 256
_MP3_HAS_FRAMES, _MP3_HAS_BYTES = 1, 2
_HEAD = 64 * 1024
"""Bytes. A larger ID3 tag, with a picture, hides the first frame."""
_MAX_TRAILER = 1024
"""Bytes of tags after the last frame of an MP3."""
_MAX_JPEG = 256 * 2**20
"""Bytes. A larger file is not searched."""


def truncation(path: Path) -> str | None:
    """Return what is missing at the end of a file; None if nothing is.

    None also for formats other than PNG, JPEG, GIF, RIFF (WebP, WAV, AVI), W64, AIFF, CAF, MP4, QuickTime, FLV, ASF
    (WMV), Ogg and MP3.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[4:8] == b"ftyp":
        return _mp4_truncation(path, size)
    if head.startswith(b"RIFF"):
        declared = int.from_bytes(head[4:8], "little")
        return _missing_bytes(size, 0 if declared in _UNKNOWN_RIFF_SIZES else declared + 8)
    if head.startswith(_PNG):
        return None if _png_is_complete(path, size) else "it has no end mark"
    if head.startswith(_JPEG):
        return None if size > _MAX_JPEG or _jpeg_is_complete(path) else "it has no end mark"
    if head.startswith(b"GIF8"):
        return None if _ends_with(path, b";") else "it has no end mark"
    if read_size := next((read for mark, read in _STATED_SIZES.items() if head.startswith(mark)), None):
        return _missing_bytes(size, read_size(head))
    if head.startswith(b"OggS"):
        return _missing_bytes(size, _end_of_ogg_pages(path, size))
    return _missing_bytes(size, _size_in_mp3_header(head))


def has_exact_header(path: Path) -> bool:
    """Return whether the header of an MP3 states a length that is known to be that of the whole file.

    Files that were put behind each other have the header of the first one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    stated = _size_in_mp3_header(head)
    return stated > 0 and 0 <= size - stated <= _MAX_TRAILER


def _mp4_truncation(path: Path, size: int) -> str | None:
    end = max((box.start + box.size for box in top_level_boxes(path)), default=0)
    return _missing_bytes(size, end)


def _missing_bytes(size: int, declared: int) -> str | None:
    # Some writers count the padding byte of an odd length, and some do not.
    return f"it has {size:,} of {declared:,} bytes" if declared > size + 1 else None


def _png_is_complete(path: Path, size: int) -> bool:
    position = len(_PNG)
    with path.open("rb") as file:
        while position + 12 <= size:
            file.seek(position)
            header = file.read(8)
            position += 12 + int.from_bytes(header[:4], "big")
            if header[4:] == b"IEND":
                return position <= size
    return False


def _jpeg_is_complete(path: Path) -> bool:
    # Inside the scan an end mark cannot occur by chance. Other data may follow it.
    data = path.read_bytes()
    return data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) > 0


def _end_of_ogg_pages(path: Path, size: int) -> int:
    """Return where the last page ends, which can be after the end of the file."""
    position = 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(_OGG_HEADER + 255)
            if not header.startswith(b"OggS"[: len(header)]):
                return position
            segments = header[_OGG_HEADER - 1] if len(header) >= _OGG_HEADER else 0
            position += _OGG_HEADER + segments + sum(header[_OGG_HEADER : _OGG_HEADER + segments])
    return position


def _size_in_caf_header(head: bytes) -> int:
    """Return the size that the chunks of a CAF state up to its audio data; 0 if it was not known."""
    at = 8
    while at + 12 <= len(head):
        kind, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 12], "big", signed=True)
        if size < 0:  # the data goes on to the end of the file
            return 0
        at += 12 + size
        if kind == b"data":
            return at
    return 0


def _end_of_asf_packets(head: bytes) -> int:
    """Return where the packets of an ASF end, before its index; 0 if it does not state that, as a broadcast."""
    start = int.from_bytes(head[16:24], "little")
    if head[start : start + 16] != _ASF_DATA:
        return 0
    size = int.from_bytes(head[start + 16 : start + 24], "little")
    return start + size if size else 0


def _size_in_flv_header(head: bytes) -> int:
    """Return the size that the metadata of an FLV states; 0 if it states none."""
    at = head.find(_FLV_SIZE)
    if at < 0 or len(head) < at + len(_FLV_SIZE) + 8:
        return 0
    (size,) = struct.unpack_from(">d", head, at + len(_FLV_SIZE))
    return int(size) if 0 < size < _MAX_STATED else 0


def _size_in_mp3_header(head: bytes) -> int:
    """Return the size that the first frame of most MP3 files states (Xing or Info header); 0 if it states none."""
    start = 0
    if head.startswith(b"ID3") and len(head) >= 10:
        start = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    frame = head[start : start + _MP3_FRAME]
    position = max(frame.find(b"Xing"), frame.find(b"Info"))
    if not frame.startswith(b"\xff") or position < 0:
        return 0
    flags = int.from_bytes(frame[position + 4 : position + 8], "big")
    if not flags & _MP3_HAS_BYTES:
        return 0
    position += 12 if flags & _MP3_HAS_FRAMES else 8
    return start + int.from_bytes(frame[position : position + 4], "big")


_STATED_SIZES: dict[bytes, Callable[[bytes], int]] = {
    _W64: lambda head: int.from_bytes(head[16:24], "little"),
    b"FORM": lambda head: int.from_bytes(head[4:8], "big") + 8,
    b"caff": _size_in_caf_header,
    b"FLV": _size_in_flv_header,
    _ASF: _end_of_asf_packets,
}
"""Readers of the size that a header states, by its first bytes."""


def _ends_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1024))
        return file.read().rstrip(b"\0").endswith(mark)
