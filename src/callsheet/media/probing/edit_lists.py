"""Edit lists of MP4 and QuickTime files: which pieces of a track are played (ISO 14496-12, section 8.6.6).

FFmpeg plays one piece exactly. With several pieces it seeks to wrong places, passes on hidden packets in copies, and
plays the start of the track where nothing is due. The prober imports this module, so it imports only `mp4_boxes`.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from callsheet.media.probing.mp4_boxes import Box, descend, read_contents, track_number

_NOTHING = -1
"""The media time of an entry in which nothing is played."""
_MAX_ENTRIES = 1000
_MAX_BYTES = 16 + 20 * _MAX_ENTRIES


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a track, or a pause."""

    start: float | None
    """Seconds in the samples of the track. None: nothing is played."""
    seconds: float

    @property
    def end(self) -> float:
        """Its end in the samples of the track, in seconds."""
        return (self.start or 0.0) + self.seconds


@dataclass(frozen=True, slots=True)
class EditList:
    """The edit list of a track."""

    track: int
    pieces: tuple[Piece, ...]
    """In the order in which they are played. Those that follow each other in the samples, too, are one."""
    entries: int
    """The number of entries in the file."""
    box: Box
    """The `edts` box."""

    @property
    def delay(self) -> float:
        """Seconds before the first piece."""
        return self.pieces[0].seconds if self.pieces[0].start is None else 0.0

    @property
    def played(self) -> tuple[Piece, ...]:
        """The pieces after the delay."""
        return self.pieces[1:] if self.pieces[0].start is None else self.pieces

    @property
    def is_plain(self) -> bool:
        """Whether it is a delay and one piece at most, in one entry each."""
        return len(self.played) == 1 and self.entries == len(self.pieces)


def read_edit_lists(path: Path) -> list[EditList]:
    """Return the edit lists of the tracks that have one. None of other formats, and of files in fragments.

    Raises ValueError if a list has too many entries.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if next(descend(file, 0, size, (b"moov", b"mvex")), None) is not None:
            return []
        scale = next((_scale(file, box) for box in descend(file, 0, size, (b"moov", b"mvhd"))), 0)
        tracks = descend(file, 0, size, (b"moov", b"trak")) if scale else ()
        return [found for track in tracks if (found := _edit_list(file, track, scale)) is not None]


def write_without_edit_lists(path: Path, copy: Path, lists: Sequence[EditList]) -> None:
    """Copy a file without these edit lists, so that all samples of their tracks are played from the first one on."""
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        for each in lists:
            file.seek(each.box.start + 4)
            file.write(b"free")


def _edit_list(file: BinaryIO, track: Box, movie_scale: int) -> EditList | None:
    start, end = track.start + 8, track.start + track.size
    header = next(descend(file, start, end, (b"tkhd",)), None)
    media = next(descend(file, start, end, (b"mdia", b"mdhd")), None)
    edits = next(descend(file, start, end, (b"edts",)), None)
    box = next(descend(file, start, end, (b"edts", b"elst")), None)
    if header is None or media is None or edits is None or box is None:
        return None
    scale = _scale(file, media)
    entries = [*_entries(read_contents(file, box, _MAX_BYTES))]
    pieces = tuple(_joined(entries, movie_scale, scale)) if scale else ()
    if not any(piece.start is not None for piece in pieces):
        return None
    return EditList(track_number(read_contents(file, header)), pieces, sum(length > 0 for length, _ in entries), edits)


def _scale(file: BinaryIO, header: Box) -> int:
    """Return the ticks per second of a movie or a track."""
    contents = read_contents(file, header)
    at = 20 if contents[:1] == b"\1" else 12
    return int.from_bytes(contents[at : at + 4], "big")


def _entries(contents: bytes) -> Iterator[tuple[int, int]]:
    """Yield length and media time of each entry."""
    width = 8 if contents[:1] == b"\1" else 4
    count = int.from_bytes(contents[4:8], "big")
    if count > _MAX_ENTRIES:
        raise ValueError(f"its edit list has {count} entries; at most {_MAX_ENTRIES} are supported")
    for number in range(count):
        entry = contents[8 + number * (2 * width + 4) :][: 2 * width]
        if len(entry) == 2 * width:
            yield int.from_bytes(entry[:width], "big"), int.from_bytes(entry[width:], "big", signed=True)


def _joined(entries: Sequence[tuple[int, int]], movie_scale: int, scale: int) -> Iterator[Piece]:
    """Yield the pieces of entries. Entries that go on where the one before ends are one piece."""
    piece: Piece | None = None
    for length, time in entries:
        if length <= 0:
            continue
        seconds, start = length / movie_scale, None if time == _NOTHING else max(0, time) / scale
        if piece is not None and _goes_on(piece, start, 1.5 / movie_scale):
            piece = Piece(piece.start, piece.seconds + seconds)
            continue
        if piece is not None:
            yield piece
        piece = Piece(start, seconds)
    if piece is not None:
        yield piece


def _goes_on(piece: Piece, start: float | None, tolerance: float) -> bool:
    if piece.start is None or start is None:
        return piece.start is start
    return abs(piece.end - start) <= tolerance
