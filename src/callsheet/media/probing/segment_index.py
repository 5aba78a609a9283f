"""The segment index (`sidx`) of an MP4 in fragments (ISO 14496-12, section 8.16.3).

FFmpeg goes by it from fragment to fragment, and leaves out those to which a wrong one does not lead.
"""

import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from callsheet.media.probing.mp4_boxes import Box, top_level_boxes

_MAX_BYTES = 64 * 2**20
_SIZE = 0x7FFF_FFFF
"""The bits of a reference that hold its size in bytes; the other one says that it leads to a further index."""


def wrong_segment_indexes(path: Path) -> list[Box]:
    """Return the segment indexes of a file if one of them leads to a place where no fragment starts."""
    if not path.is_file():  # opening a pipe may never end
        return []
    boxes = list(top_level_boxes(path))
    indexes = [box for box in boxes if box.type == b"sidx"]
    size, starts = path.stat().st_size, {box.start for box in boxes}
    with path.open("rb") as file:
        for box in indexes:
            file.seek(box.start)
            if any(
                place < size and place not in starts for place in _places(box, file.read(min(box.size, _MAX_BYTES)))
            ):
                return indexes
    return []


def write_without_segment_indexes(path: Path, copy: Path, indexes: Sequence[Box]) -> None:
    """Copy a file without these segment indexes, so that its fragments are read one after the other."""
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        for box in indexes:
            file.seek(box.start + 4)
            file.write(b"free")


def _places(box: Box, data: bytes) -> Iterator[int]:
    """Yield the positions in the file to which an index leads."""
    header = 8 + 4 + 8 + (16 if data[8:9] == b"\1" else 8)
    if len(data) < header + 4:
        return
    offset = int.from_bytes(data[header - (8 if data[8:9] == b"\1" else 4) : header], "big")
    place = box.start + box.size + offset
    (count,) = struct.unpack_from(">H", data, header + 2)
    for number in range(count):
        yield place
        at = header + 4 + 12 * number
        place += int.from_bytes(data[at : at + 4], "big") & _SIZE
