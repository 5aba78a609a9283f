"""The Range header (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

from callsheet.domain.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"\s*bytes\s*=[\s,]*([0-9]{0,30})-([0-9]{0,30})[\s,]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Part of a file: from `start` up to, not including, `end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def content_range(self, size: int) -> str:
        """Return the Content-Range header of a 206 answer."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the part of a file of this size that a Range header asks for; None means the whole file.

    Several ranges, other units and headers that cannot be read are answered with the whole file, as the RFC
    allows. Raises RangeNotSatisfiable for a range that begins behind the end.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return _last(int(match[2]), size)
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if match[2] and end <= start:
        return None
    if start >= size:
        raise _unsatisfiable(size)
    return ByteRange(start, min(end, size))


def _last(count: int, size: int) -> ByteRange | None:
    if count == 0:
        raise _unsatisfiable(size)
    return ByteRange(max(0, size - count), size) if size else None


def _unsatisfiable(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(f"The file has {size} bytes; the range begins behind its end", size=size)
