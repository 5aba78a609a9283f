import pytest
from pydantic import ValidationError

from callsheet.media.subtitles.style import TextStyle


def style(**fields: object) -> TextStyle:
    return TextStyle.model_validate(fields)


def test_aliases_and_spellings_of_other_editors_are_supported():
    parsed = style(font="Inter", size=40, weight="Semi-Bold", colour="red", background="navy", position="topLeft")

    assert (parsed.font_family, parsed.font_size, parsed.font_weight) == ("Inter", 40, 600)
    assert (parsed.color, parsed.background_color, parsed.position) == ("#ff0000", "#000080", "top_left")


@pytest.mark.parametrize(("bold", "weight"), [(True, 700), (False, 400)])
def test_bold_is_a_weight(bold: bool, weight: int):
    assert style(bold=bold).font_weight == weight


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bold": True, "fontWeight": 400}, "not both"),
        ({"fontWeight": "chunky"}, "'chunky' is not a font weight: write 100 to 900, or one of thin, light"),
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
def test_invalid_fields_are_reported(fields: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message.replace("{", "\\{")):
        style(**fields)


def test_a_style_round_trips_through_json():
    parsed = style(effect="karaoke", position="bottom", bold=False, shadow=2)

    assert TextStyle.model_validate_json(parsed.model_dump_json()) == parsed
