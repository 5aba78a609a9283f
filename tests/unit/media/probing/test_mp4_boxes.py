import asyncio
import struct
from itertools import islice
from pathlib import Path

import pytest

from callsheet.media.probing.mp4_boxes import Box, is_fast_start, top_level_boxes

from ..studio import Studio

FTYP = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def large_box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


async def walk(path: Path, data: bytes) -> list[Box]:
    path.write_bytes(data)  # noqa: ASYNC240 - small, and nothing else runs
    async with asyncio.timeout(5):
        return await asyncio.to_thread(lambda: [*islice(top_level_boxes(path), 10)])


async def test_boxes_are_listed_with_their_positions(tmp_path: Path):
    boxes = await walk(tmp_path / "a.mp4", FTYP + box(b"moov", b"x" * 10) + large_box(b"mdat", b"y" * 4))

    assert boxes == [Box(b"ftyp", 0, 16), Box(b"moov", 16, 18), Box(b"mdat", 34, 20)]


async def test_a_box_of_size_0_extends_to_the_end_of_the_file(tmp_path: Path):
    boxes = await walk(tmp_path / "a.mp4", FTYP + struct.pack(">I4s", 0, b"free") + bytes(40))

    assert boxes == [Box(b"ftyp", 0, 16), Box(b"free", 16, 48)]


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">I4s", 7, b"free"),
        struct.pack(">I4sQ", 1, b"free", 15),
        struct.pack(">I4sQ", 1, b"free", 0),
        struct.pack(">I4s", 1, b"free"),
        struct.pack(">I4s", 16, b"\0\0\0\0"),
        b"\0\0\0",
    ],
)
async def test_an_invalid_header_ends_the_walk(tmp_path: Path, header: bytes):
    assert await walk(tmp_path / "a.mp4", FTYP + header) == [Box(b"ftyp", 0, 16)]


async def test_a_box_beyond_the_end_of_the_file_is_the_last(tmp_path: Path):
    boxes = await walk(tmp_path / "a.mp4", FTYP + struct.pack(">I4sQ", 1, b"free", 2**64 - 1) + FTYP)

    assert boxes == [Box(b"ftyp", 0, 16), Box(b"free", 16, 2**64 - 1)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (FTYP + box(b"moov") + box(b"mdat"), True),
        (FTYP + box(b"mdat") + box(b"moov"), False),
        (FTYP + box(b"free", bytes(100)) + large_box(b"mdat", bytes(100)) + box(b"moov"), False),
        (FTYP + struct.pack(">I4s", 0, b"free") + box(b"moov"), None),
        (b"RIFF" + bytes(100), None),
        (b"", None),
    ],
)
async def test_the_index_is_found_before_or_after_the_media_data(tmp_path: Path, data: bytes, expected: bool | None):
    path = tmp_path / "a.mp4"
    path.write_bytes(data)

    async with asyncio.timeout(5):
        assert await asyncio.to_thread(is_fast_start, path) is expected


def test_files_of_ffmpeg_are_recognized(studio: Studio):
    clip = studio.clip("plain.mp4", "testsrc2=size=64x64:rate=30", seconds=0.2)
    front = studio.make("plain-front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")
    matroska = studio.make("plain.mkv", "-i", str(clip), "-c", "copy")

    assert (is_fast_start(clip), is_fast_start(front), is_fast_start(matroska)) == (False, True, None)
