import pytest
from pydantic import ValidationError

from callsheet.media.subtitles.style import TextStyle


def style(**fields: object) -> TextStyle:
    return TextStyle.model_validate(fields)


def test_words_of_other_editors_are_understood():
    looks = style(font="Inter", size=40, weight="Semi-Bold", colour="red", background="navy", position="topLeft")

    assert (looks.font_family, looks.font_size, looks.font_weight) == ("Inter", 40, 600)
    assert (looks.color, looks.background_color, looks.position) == ("#ff0000", "#000080", "top_left")


@pytest.mark.parametrize(("bold", "weight"), [(True, 700), (False, 400)])
def test_bold_is_a_weight(bold: bool, weight: int):
    assert style(bold=bold).font_weight == weight


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"bold": True, "fontWeight": 400}, "not both"),
        ({"fontWeight": "chunky"}, "'chunky' is not a weight: write 100 to 900, or one of thin, light"),
        ({"fontWeight": 50}, "greater than or equal to 100"),
        ({"effect": "wobble"}, "'none', 'karaoke', 'highlight' or 'word'"),
        ({"highlightColor": "reddish"}, "'reddish' is not a color"),
        ({"position": "above"}, "'top_left'"),
        ({"font_family": "a,b"}, "pattern"),
        ({"font_family": "a{\\b1}"}, "pattern"),
        ({"fontFamly": "Inter"}, "Extra inputs"),
        ({"maxWidth": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_told(fields: dict[str, object], told: str):
    with pytest.raises(ValidationError, match=told.replace("{", "\\{")):
        style(**fields)


def test_a_style_survives_being_written_down():
    looks = style(effect="karaoke", position="bottom", bold=False, shadow=2)

    assert TextStyle.model_validate_json(looks.model_dump_json()) == looks
