"""Find the links of a chained Ogg file: several files that were put behind each other (RFC 3533, section 4)."""

from pathlib import Path

_HEADER = 27
"""Bytes of a page header, up to the table of its segments."""
_BEGINS_STREAM = 2


def chain_links(path: Path) -> list[int]:
    """Return the position in bytes at which each link of an Ogg file starts; empty for other formats."""
    links: list[int] = []
    was_first = False
    with path.open("rb") as file:
        position = 0
        while True:
            file.seek(position)
            header = file.read(_HEADER + 255)
            if len(header) < _HEADER or not header.startswith(b"OggS"):
                return links
            is_first = bool(header[5] & _BEGINS_STREAM)
            if is_first and not was_first:
                links.append(position)
            was_first = is_first
            segments = header[_HEADER - 1]
            position += _HEADER + segments + sum(header[_HEADER : _HEADER + segments])
