import pytest

from callsheet.media.subtitles.text_layout import layout_text
from callsheet.media.subtitles.text_wrapping import TextBox, parse_units

NARROW = TextBox(120, 400)


@pytest.mark.parametrize(
    ("text", "mark"),
    [("Привет, שלום, и так далее", "\u200e"), ("שלום hello and so on", "\u200f")],
)
def test_a_continued_line_keeps_the_direction_of_its_paragraph(text: str, mark: str):
    result = "".join(layout_text(parse_units(text), NARROW, 30).parts)

    first, *others = result.split("\\N")
    assert mark not in first
    assert others
    assert all(line.startswith(mark) for line in others)


def test_a_new_paragraph_has_its_own_direction():
    result = "".join(layout_text(parse_units("one שלום\\Nשלום"), TextBox(400, 400), 30).parts)

    assert result == "one שלום\\Nשלום"


def test_text_of_one_direction_needs_no_marks():
    result = "".join(layout_text(parse_units("a text that takes several lines"), NARROW, 30).parts)

    assert "\\N" in result
    assert "\u200e" not in result
