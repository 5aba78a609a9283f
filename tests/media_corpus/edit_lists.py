"""MP4 files whose tracks play parts of their samples, as editors write them without encoding (ISO 14496-12, 8.6.6)."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .clips import Clips, Recipe

Edit = tuple[float | None, float]
"""Where a piece starts in the samples, in seconds, and how long it is. None: nothing is played."""

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def with_edits(source: Recipe, edits: Mapping[str, Sequence[Edit]], suffix: str = "mp4") -> Recipe:
    """A film whose tracks (`vide`, `soun`) play only these pieces, one behind the other."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"unedited.{suffix}")
        source(clips, whole)
        path.write_bytes(_edited(whole.read_bytes(), edits))

    return make


def _edited(data: bytes, edits: Mapping[str, Sequence[Edit]]) -> bytes:
    """Return an MP4 whose index follows its samples, with other edit lists."""
    start, end = next((start, end) for kind, start, end in _boxes(data, 0, len(data)) if kind == b"moov")
    assert end == len(data)
    movie_scale = _scale(data, start + 8, end, b"mvhd")
    content, length = b"", 0.0
    for kind, first, last in _boxes(data, start + 8, end):
        box = data[first:last]
        if kind == b"trak":
            handler = data[data.index(b"hdlr", first) + 12 :][:4].decode()
            pieces = edits[handler]
            length = max(length, sum(seconds for _, seconds in pieces))
            box = _edited_track(data, first, last, pieces, movie_scale)
        content += box
    at = content.index(b"mvhd") + 4 + 16
    content = content[:at] + struct.pack(">I", round(length * movie_scale)) + content[at + 4 :]
    return data[:start] + _box(b"moov", content)


def _edited_track(data: bytes, first: int, last: int, pieces: Sequence[Edit], movie_scale: int) -> bytes:
    scale = _scale(data, first, last, b"mdhd")
    shown_at = _composition_start(data[first:last])
    rows = b"".join(
        struct.pack(
            ">IiI", round(seconds * movie_scale), -1 if at is None else round(at * scale) + shown_at, 0x0001_0000
        )
        for at, seconds in pieces
    )
    content = b""
    for kind, start, end in _boxes(data, first + 8, last):
        box = data[start:end]
        if kind == b"tkhd":
            total = round(sum(seconds for _, seconds in pieces) * movie_scale)
            box = box[:28] + struct.pack(">I", total) + box[32:]
            content += box + _box(b"edts", _box(b"elst", struct.pack(">II", 0, len(pieces)) + rows))
        elif kind != b"edts":
            content += box
    return _box(b"trak", content)


def _composition_start(track: bytes) -> int:
    """Return the media time at which the first sample is shown: where the edit list of FFmpeg starts."""
    at = track.find(b"elst")
    if at < 0:
        return 0
    count = struct.unpack_from(">I", track, at + 8)[0]
    (media_time,) = struct.unpack_from(">i", track, at + 12 + 12 * (count - 1) + 4)
    return int(media_time)


def _scale(data: bytes, start: int, end: int, header: bytes) -> int:
    return int(struct.unpack_from(">I", data, data.index(header, start, end) + 4 + 12)[0])


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        size = struct.unpack_from(">I", data, start)[0]
        yield data[start + 4 : start + 8], start, start + size
        start += size
