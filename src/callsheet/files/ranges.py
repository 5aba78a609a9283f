"""The Range request header (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

from callsheet.domain.errors import RangeNotSatisfiable

_SINGLE_RANGE = re.compile(r"bytes\s*=[\s,]*([0-9]{0,30})-([0-9]{0,30})[\s,]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A byte range of a file: `start` inclusive, `end` exclusive."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def content_range(self, size: int) -> str:
        """Return the Content-Range header of a 206 response."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the byte range that a Range header requests from a file of `size` bytes; None means the whole file.

    Multiple ranges, other units and malformed headers also give None; the RFC allows a server to ignore them.
    Raises RangeNotSatisfiable for a range that starts beyond the end.
    """
    match = _SINGLE_RANGE.fullmatch((header or "").strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return _suffix_range(int(match[2]), size)
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if match[2] and end <= start:
        return None
    if start >= size:
        raise _unsatisfiable(size)
    return ByteRange(start, min(end, size))


def _suffix_range(count: int, size: int) -> ByteRange | None:
    if count == 0:
        raise _unsatisfiable(size)
    return ByteRange(max(0, size - count), size) if size else None


def _unsatisfiable(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(f"The file has {size} bytes; the range starts beyond its end", size=size)
