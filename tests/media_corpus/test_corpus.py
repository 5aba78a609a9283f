"""Every file of the corpus through every operation that takes it: all of them must find the same in it."""

from pathlib import Path

import imageio_ffmpeg
import pytest

from .clips import Clips
from .rows import ROWS
from .sisters import check_row
from .table import Row

pytestmark = pytest.mark.corpus


BINARY = Path(imageio_ffmpeg.get_ffmpeg_exe())
"""Makes the files, and measures. The operations use the FFmpeg that they find."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_all_operations_find_the_same_in_a_file(row: Row, tmp_path: Path):
    parts = tmp_path / "parts"
    parts.mkdir()
    source = tmp_path / row.name
    row.make(Clips(BINARY, parts), source)

    problems = await check_row(row, source, tmp_path, BINARY)

    assert not problems, "\n".join(problems)
