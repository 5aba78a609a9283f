"""Cut a transport or program stream where its clock jumps."""

from collections.abc import Sequence
from pathlib import Path

_TS_PACKETS = ((188, 0), (192, 4))
"""Sizes of transport packets, and the bytes before their sync byte: those of cameras and discs have a time stamp."""
_TS_SYNC = 0x47
_MAX_TABLES = 64
"""Packets before the first packet of a stream in which its tables are looked for."""
_PACK = b"\0\0\1\xba"
_MAX_PACK = 4096


def clock_parts(path: Path, format: str | None, jumps: Sequence[int]) -> list[tuple[int, int]]:
    """Return the start and end in bytes of each part of a file, between the jumps. The first packet after a jump, and
    the tables before it, start a part."""
    size = path.stat().st_size
    starts = [0]
    with path.open("rb") as file:
        for position in sorted(jumps):
            if position <= 0:
                continue
            window = max(0, position - _MAX_TABLES * _TS_PACKETS[-1][0])
            file.seek(window)
            before = file.read(position - window)
            start = window + (_pack_start(before) if format == "mpeg" else _table_start(before))
            if start > starts[-1]:
                starts.append(start)
    return list(zip(starts, [*starts[1:], size], strict=True))


def _table_start(before: bytes) -> int:
    """Return the position of the last program association table (packet identifier 0) in transport packets."""
    for size, lead in _TS_PACKETS:
        for start in range(len(before) - size, -1, -size):
            sync, flags, identifier = before[start + lead : start + lead + 3]
            if sync != _TS_SYNC:
                break
            if flags & 0x1F == 0 and identifier == 0:
                return start
    return len(before)


def _pack_start(before: bytes) -> int:
    found = before.rfind(_PACK, max(0, len(before) - _MAX_PACK))
    return found if found >= 0 else len(before)
