import pytest

from callsheet.media.subtitles.text_layout import layout_text
from callsheet.media.subtitles.text_wrapping import Room, units_of

NARROW = Room(120, 400)


@pytest.mark.parametrize(
    ("text", "mark"),
    [("Привет, שלום, и так далее", "\u200e"), ("שלום hello and so on", "\u200f")],
)
def test_a_line_that_goes_on_keeps_the_direction_of_its_paragraph(text: str, mark: str):
    written = "".join(layout_text(units_of(text), NARROW, 30).parts)

    first, *others = written.split("\\N")
    assert mark not in first
    assert others
    assert all(line.startswith(mark) for line in others)


def test_a_new_paragraph_has_a_direction_of_its_own():
    written = "".join(layout_text(units_of("one שלום\\Nשלום"), Room(400, 400), 30).parts)

    assert written == "one שלום\\Nשלום"


def test_text_of_one_direction_needs_no_marks():
    written = "".join(layout_text(units_of("a text that takes several lines"), NARROW, 30).parts)

    assert "\\N" in written
    assert "\u200e" not in written
