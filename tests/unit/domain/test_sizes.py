"""Sizes as people write them."""

import pytest

from callsheet.domain.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4_000_000_000), ("1.5 GiB", 1_610_612_736), ("512mb", 512_000_000), ("1024", 1024), ("64 B", 64)],
)
def test_a_size_is_read_with_its_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "4 QB", "-1", "4GB and more", "1e9"])
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
