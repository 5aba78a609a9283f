"""Files that arrive in parts."""

import os
import time
from datetime import timedelta
from uuid import UUID

import pytest

from callsheet.domain.errors import OffsetConflict, TooLarge
from callsheet.files.partial_files import PartialFiles

ID = UUID("019ab1f0-0000-7000-8000-000000000001")


@pytest.fixture
def partial(tmp_path):
    return PartialFiles(tmp_path / "partial")


async def chunks(*parts):
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


async def test_parts_are_appended_at_the_end_only(partial):
    await partial.append(ID, chunks(b"abc", b"de"), offset=0, size=8)
    assert partial.offset(ID) == 5

    for wrong in (0, 4, 6):
        with pytest.raises(OffsetConflict, match="at byte 5"):
            await partial.append(ID, chunks(b"x"), offset=wrong, size=8)
    await partial.append(ID, chunks(b"fgh"), offset=5, size=8)

    assert partial.path(ID).read_bytes() == b"abcdefgh"


async def test_what_arrived_before_a_cut_stays(partial):
    with pytest.raises(ConnectionError):
        await partial.append(ID, chunks(b"abc", ConnectionError()), offset=0, size=8)

    assert partial.path(ID).read_bytes() == b"abc"


async def test_a_file_never_grows_beyond_its_size(partial):
    with pytest.raises(TooLarge):
        await partial.append(ID, chunks(b"x" * 2**20, b"x" * 2**20), offset=0, size=2**20 + 5)

    assert partial.offset(ID) == 2**20


def test_one_request_at_a_time_has_a_file(partial):
    with partial.exclusive(ID), pytest.raises(OffsetConflict), partial.exclusive(ID):
        pass
    with partial.exclusive(ID):
        pass


async def test_files_that_no_longer_grow_are_deleted(partial):
    other = UUID(int=1)
    for each in (ID, other):
        await partial.append(each, chunks(b"abc"), offset=0, size=8)
    old = time.time() - 100
    os.utime(partial.path(ID), (old, old))

    assert partial.remove_older_than(timedelta(seconds=50)) == 1

    assert (partial.path(ID).exists(), partial.path(other).exists()) == (False, True)
