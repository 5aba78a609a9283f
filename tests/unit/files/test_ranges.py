import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.domain.errors import RangeNotSatisfiable
from callsheet.files.ranges import ByteRange, parse_range


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, 1000),
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("Bytes = 10-19", 10, 20),
        ("bytes=990-5000", 990, 1000),
        ("bytes=-5", 995, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=,10-19,", 10, 20),
    ],
)
def test_a_single_range_is_parsed(header: str, start: int, end: int) -> None:
    assert parse_range(header, 1000) == ByteRange(start, end)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "items=0-1", "bytes=0-1,5-6"),
        *("bytes=1-2-3", "bytes=٣-٤", "bytes=0-" + "9" * 5000),
    ],
)
def test_any_other_header_means_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 1000) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=1000-", 1000), ("bytes=-0", 1000), ("bytes=0-", 0)])
def test_a_range_beyond_the_end_is_an_error_with_the_size(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, size)

    assert caught.value.status == 416
    assert caught.value.facts == {"size": size}


def test_a_suffix_range_of_an_empty_file_is_the_whole_file() -> None:
    assert parse_range("bytes=-5", 0) is None


def test_content_range_names_the_part() -> None:
    part = ByteRange(10, 20)

    assert part.content_range(1000) == "bytes 10-19/1000"
    assert len(part) == 10


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 1500))
def test_a_range_never_exceeds_the_file(first: int, last: int, size: int) -> None:
    try:
        part = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if part is None:
        assert last < first
    else:
        assert list(range(part.start, part.end)) == [i for i in range(size) if first <= i <= last]
