"""Checks of transcode outputs."""

from pathlib import Path

import pytest

from callsheet.media.transcoding import output_checks


@pytest.mark.parametrize(
    ("boxes", "fast_start"),
    [
        ([(b"ftyp", 24), (b"moov", 100), (b"mdat", 100)], True),
        ([(b"ftyp", 24), (b"mdat", 100), (b"moov", 100)], False),
        ([(b"free", 0)], False),
    ],
    ids=["index first", "media data first", "a box to the end of the file"],
)
def test_the_position_of_the_index_is_found(tmp_path: Path, boxes: list[tuple[bytes, int]], fast_start: bool):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"".join(size.to_bytes(4) + kind + bytes(max(size, 16) - 8) for kind, size in boxes))

    assert output_checks._is_fast_start(path) is fast_start
