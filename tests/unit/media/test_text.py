from pathlib import Path

import pytest

from callsheet.domain.errors import BadSource
from callsheet.media.ass import Line, literal, script
from callsheet.media.looks import as_title
from callsheet.media.style import TextStyle
from callsheet.media.subtitles import is_ass, read_captions

SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello <i>you</i>\r\nthere\r\n\r\n"
    "2\r\n00:01:00,5 --> 01:00:00,000\r\n{\\an8}<font color=red>R&amp;B</font>\r\n"
)
VTT = (
    "WEBVTT\n\nNOTE a remark\n\nintro\n00:01.000 --> 00:02.000 align:start\n<v Ann>Hi &lt;all&gt;\n\n"
    "00:03.000 --> 00:04.000\n"
)


def captions(tmp_path: Path, text: str | bytes, uppercase: bool = False) -> list[tuple[float, float, str]]:
    path = tmp_path / "captions"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(c.start, c.end, c.text) for c in read_captions(path, uppercase)]


def test_srt_is_read(tmp_path: Path):
    assert captions(tmp_path, SRT) == [(1, 2.5, "Hello {\\i1}you{\\i0}\\Nthere"), (60.5, 3600, "R&B")]


def test_webvtt_is_read(tmp_path: Path):
    assert captions(tmp_path, VTT) == [(1, 2, "Hi <all>")]


def test_capitals_leave_marks_alone(tmp_path: Path):
    assert captions(tmp_path, SRT, uppercase=True)[0][2] == "HELLO {\\i1}YOU{\\i0}\\NTHERE"


def test_captions_of_any_encoding_are_read(tmp_path: Path):
    text = "1\n00:00:00,000 --> 00:00:01,000\ncafé\n"

    for encoding in ("utf-8", "cp1252", "utf-16"):
        assert captions(tmp_path, text.encode(encoding))[0][2] == "café"


@pytest.mark.parametrize("text", ["", "nothing of the kind", "1\n00:00:02,000 --> 00:00:01,000\nbackwards\n"])
def test_a_file_without_captions_is_refused(tmp_path: Path, text: str):
    with pytest.raises(BadSource, match="holds no captions"):
        captions(tmp_path, text)


def test_an_ass_script_is_known_by_its_contents(tmp_path: Path):
    (tmp_path / "a").write_text("\ufeff[Script Info]\nTitle: x\n")
    (tmp_path / "b").write_text(SRT)

    assert is_ass(tmp_path / "a")
    assert not is_ass(tmp_path / "b")


def test_text_cannot_command_the_renderer():
    assert literal("{\\fs200}a\\Nb\nc") == "\\{\\\u2060fs200\\}a\\\u2060Nb\\Nc"


def test_a_script_is_as_large_as_the_film():
    title = as_title(TextStyle.model_validate({"color": "red", "font_size": 50}), 1080, 1920)
    line = Line(1.005, 3661.5, "Hi", title, fade_in=0.3, fade_out=0.3)

    text = script([line, line], width=1080, height=1920)

    assert "PlayResX: 1080\nPlayResY: 1920" in text
    assert text.count("\nStyle: ") == 1
    assert "Style: S0,Inter,50.0,&H000000FF," in text
    assert "Dialogue: 1,0:00:01.00,1:01:01.50,S0,,0,0,0,,{\\fad(300,300)}Hi" in text
