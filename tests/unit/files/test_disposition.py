import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.files.disposition import content_disposition, parse_file_name

NAMES = ["final.mp4", "mein Clip.mp4", 'with "quotes" and \\.mp4', "🎬 é.mp4", "100%.mp4", "a;b=c.mp4", "it's.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_round_trips_through_the_header(name: str) -> None:
    assert parse_file_name(content_disposition(name)) == name


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40))
def test_every_name_round_trips_and_the_header_is_ascii(name: str) -> None:
    header = content_disposition(name, inline=True)

    assert header.isascii() and header.startswith("inline; ")
    assert parse_file_name(header) == name


def test_the_header_has_an_ascii_fallback_and_an_extended_name() -> None:
    header = content_disposition("Clip 🎬.mp4")

    assert header == "attachment; filename=\"Clip _.mp4\"; filename*=UTF-8''Clip%20%F0%9F%8E%AC.mp4"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment", None),
        ("", None),
        ("attachment; filename=clip.mp4", "clip.mp4"),
        ('attachment; filename="a \\"b\\".mp4"; size=3', 'a "b".mp4'),
        ("attachment; filename=\"x.mp4\"; filename*=UTF-8''%F0%9F%8E%AC.mp4", "🎬.mp4"),
        ("attachment; filename*=ISO-8859-1'en'%E9.mp4", "é.mp4"),
        ('form-data; name="filename"; FILENAME="a.mp4"', "a.mp4"),
    ],
)
def test_a_header_is_parsed(header: str, name: str | None) -> None:
    assert parse_file_name(header) == name
