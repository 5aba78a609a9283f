from pathlib import Path

import pytest

from callsheet.domain.errors import BadSource
from callsheet.media.clips.subtitle_track import read_subtitle_file
from callsheet.media.subtitles import subtitle_parsers, subtitle_text
from callsheet.media.subtitles.ass_sanitizer import sanitize_ass
from callsheet.media.subtitles.subtitle_parsers import is_ass, read_captions

SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello <i>you</i>\r\nthere\r\n\r\n"
    "2\r\n00:01:00,5 --> 01:00:00,000\r\n{\\an8}<font color=red>R&amp;B</font>\r\n"
)
VTT = (
    "WEBVTT - made by hand\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000\n\nSTYLE\n::cue {color: red}\n\nNOTE a remark\nof two\n"
    "\nintro\n00:01.000 --> 00:02.000 align:start position:10%\n<v Ann>Hi &lt;all&gt;\n\nNOTE between\n\n"
    "REGION\nid:x\n\n00:03.000 --> 00:04.000\n"
)


def captions(tmp_path: Path, text: str | bytes, uppercase: bool = False) -> list[tuple[float, float, str]]:
    path = tmp_path / "captions"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(c.start, c.end, c.text) for c in read_captions(path, uppercase).captions]


def test_srt_is_parsed(tmp_path: Path):
    assert captions(tmp_path, SRT) == [(1, 2.5, "Hello {\\i1}you{\\i0}\\Nthere"), (60.5, 3600, "R&B")]


def test_webvtt_is_parsed(tmp_path: Path):
    assert captions(tmp_path, VTT) == [(1, 2, "Hi <all>")]


def test_uppercase_keeps_tags(tmp_path: Path):
    assert captions(tmp_path, SRT, uppercase=True)[0][2] == "HELLO {\\i1}YOU{\\i0}\\NTHERE"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_captions_of_any_encoding_are_parsed(tmp_path: Path, encoding: str):
    text = "1\n00:00:00,000 --> 00:00:01,000\ncafé\n"

    assert captions(tmp_path, text.encode(encoding)) == [(0, 1, "café")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_captions_with_any_line_breaks_are_parsed(tmp_path: Path, end: str):
    text = SRT.replace("\r\n", end)

    assert [start for start, _, _ in captions(tmp_path, text)] == [1, 60.5]


def test_captions_without_numbers_hours_or_blank_lines_are_parsed(tmp_path: Path):
    text = "00:01,000 --> 00:02,000\none\n00:03 -> 00:04\ntwo\n3\n0:00:05.5 --> 0:00:06.25 X1:10 X2:20\nthree\n"

    assert captions(tmp_path, text) == [(1, 2, "one"), (3, 4, "two"), (5.5, 6.25, "three")]


def test_a_blank_line_within_a_caption_of_srt_does_not_end_it(tmp_path: Path):
    text = "1\n00:00:01,000 --> 00:00:02,000\nfirst\n\nsecond\n\n2\n00:00:03,000 --> 00:00:04,000\n1984\n"

    assert captions(tmp_path, text) == [(1, 2, "first\\Nsecond"), (3, 4, "1984")]


def test_overlapping_and_unordered_captions_are_kept_and_sorted(tmp_path: Path):
    text = "1\n00:00:05,000 --> 00:00:09,000\nlate\n\n2\n00:00:01,000 --> 00:00:06,000\nearly\n"

    assert [text for _, _, text in captions(tmp_path, text)] == ["early", "late"]


def test_override_tags_are_escaped_or_removed(tmp_path: Path):
    text = "1\n00:00:01,000 --> 00:00:02,000\n{not a command} \\N {\\pos(0,0)}x &lbrace;\\fs9&rbrace;\n"

    assert captions(tmp_path, text)[0][2] == "\\{not a command\\} \\\u2060N x \\{\\\u2060fs9\\}"


def test_inline_timestamps_of_webvtt_are_word_times(tmp_path: Path):
    path = tmp_path / "words.vtt"
    path.write_text(
        "WEBVTT\n\n00:01.000 --> 00:04.000\n<c>So</c> <00:00:02.000><c.loud>much &amp;</c>\n<00:03.500>more\n"
    )

    caption = read_captions(path).captions[0]

    assert caption.text == "So much &\\Nmore"
    assert caption.words is not None
    assert [(w.text.strip(), w.start, w.end) for w in caption.words] == [
        ("So", 1, 2),
        ("much &", 2, 3.5),
        ("more", 3.5, 4),
    ]


def test_ruby_text_is_removed(tmp_path: Path):
    text = "WEBVTT\n\n00:01.000 --> 00:04.000\n<ruby>漢<rt>kan</rt>字<rt>ji</rt></ruby>です\n"

    assert captions(tmp_path, text)[0][2] == "漢字です"


@pytest.mark.parametrize("text", ["", "nothing of the kind", "1\n00:00:02,000 --> 00:00:01,000\nbackwards\n"])
def test_a_file_without_captions_is_rejected(tmp_path: Path, text: str):
    with pytest.raises(BadSource, match="contains no captions"):
        captions(tmp_path, text)


def test_too_large_files_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BadSource, match="more than 2000 characters"):
        captions(tmp_path, f"00:01 --> 00:02\n{'x' * 9000}\n")
    monkeypatch.setattr(subtitle_parsers, "MAX_CAPTIONS", 1)
    with pytest.raises(BadSource, match="has 2 captions"):
        captions(tmp_path, SRT)
    monkeypatch.setattr(subtitle_text, "MAX_BYTES", 10)
    with pytest.raises(BadSource, match="too large"):
        captions(tmp_path, SRT)


KINDS: dict[str, tuple[str, list[tuple[float, float, str]]]] = {
    "signs that are no tags": (
        "1\n00:00:01,000 --> 00:00:02,000\nx < 5 and y > 3, I <3 you, a <- b -> c <laughs>\n",
        [(1, 2, "x < 5 and y > 3, I <3 you, a <- b -> c <laughs>")],
    ),
    "WebVTT without blank lines": (
        "WEBVTT\n\n00:00.000 --> 00:01.000\nfirst words\n00:01.000 --> 00:02.000\nsecond words\n",
        [(0, 1, "first words"), (1, 2, "second words")],
    ),
    "arrows without blanks": ("1\n00:00:01,000-->00:00:02,000\none\n", [(1, 2, "one")]),
    "typographic arrows": ("00:00:01,000 –> 00:00:02,000\none\n", [(1, 2, "one")]),
    "three colons": ("00:00:01:500 --> 00:00:02:000\none\n", [(1.5, 2, "one")]),
    "blanks in times": ("00: 00: 01, 500 --> 00: 00: 02, 000\none\n", [(1.5, 2, "one")]),
    "days": ("1\n30:00:00,000 --> 100:00:00,000\none\n", [(108_000, 360_000, "one")]),
    "negative times": ("1\n-00:00:01,000 --> 00:00:02,000\none\n", [(0, 2, "one")]),
    "repeated numbers": (
        "1\n00:01,000 --> 00:02,000\none\n1\n00:02,000 --> 00:03,000\ntwo\n1\n00:03,000 --> 00:04,000\nthree\n",
        [(1, 2, "one"), (2, 3, "two"), (3, 4, "three")],
    ),
    "numbers as text": (
        "00:01,000 --> 00:02,000\n42\n00:02,000 --> 00:03,000\n1984\n",
        [(1, 2, "42"), (2, 3, "1984")],
    ),
    "empty captions": (
        "1\n00:01,000 --> 00:02,000\n\n2\n00:02,000 --> 00:03,000\n \n\n3\n00:03,000 --> 00:04,000\nthree\n",
        [(3, 4, "three")],
    ),
    "doubled line breaks": (
        "WEBVTT\r\r\n\r\r\n00:01.000 --> 00:02.000\r\r\none\r\r\ntwo\r\r\n",
        [(1, 2, "one\\Ntwo")],
    ),
    "joined files": (
        "\ufeff1\n00:01,000 --> 00:02,000\none\n\n\ufeff1\n00:03,000 --> 00:04,000\ntwo\n",
        [(1, 2, "one"), (3, 4, "two")],
    ),
    "line break tags": ("00:01,000 --> 00:02,000\none<br/>two\n", [(1, 2, "one\\Ntwo")]),
    "entities": ("00:01,000 --> 00:02,000\nR&D&copy &amp; &#39;x&#39;\n", [(1, 2, "R&D&copy & 'x'")]),
    "styles as override tags": ("00:01,000 --> 00:02,000\n{\\i1}one{\\i0}\n", [(1, 2, "{\\i1}one{\\i0}")]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_read_as_people_have_them(tmp_path: Path, kind: str):
    text, expected = KINDS[kind]

    assert captions(tmp_path, text) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_track_has_the_text_and_the_times_that_are_burned_in(tmp_path: Path, kind: str):
    text, expected = KINDS[kind]
    (tmp_path / "given").write_bytes(text.encode())

    read_subtitle_file(tmp_path / "given", tmp_path / "track.srt")

    assert captions(tmp_path, (tmp_path / "track.srt").read_text()) == expected


def test_reversed_captions_are_left_out_with_a_note(tmp_path: Path):
    (tmp_path / "a").write_text("00:01,000 --> 00:02,000\none\n\n00:05,000 --> 00:04,000\ntwo\n")

    read = read_captions(tmp_path / "a")

    assert [caption.text for caption in read.captions] == ["one"]
    assert read.notes == ("1 of 2 captions of 'a' end before they start, and were left out",)


@pytest.mark.parametrize(
    ("text", "at_top"),
    [
        ("00:01,000 --> 00:02,000\n{\\an8}x\n", True),
        ("00:01,000 --> 00:02,000\n{\\a6}x\n", True),
        ("00:01,000 --> 00:02,000\n{\\an2}x\n", False),
        ("WEBVTT\n\n00:01.000 --> 00:02.000 line:10% align:start\nx\n", True),
        ("WEBVTT\n\n00:01.000 --> 00:02.000 line:0\nx\n", True),
        ("WEBVTT\n\n00:01.000 --> 00:02.000 line:-1\nx\n", False),
        ("WEBVTT\n\n00:01.000 --> 00:02.000 line:90%\nx\n", False),
    ],
)
def test_captions_keep_their_place_at_the_top(tmp_path: Path, text: str, at_top: bool):
    (tmp_path / "a").write_text(text)

    assert [caption.at_top for caption in read_captions(tmp_path / "a").captions] == [at_top]


def test_overlapping_captions_of_mp4_share_their_time(tmp_path: Path):
    (tmp_path / "a").write_text("00:00,000 --> 00:04,000\none\n\n00:02,000 --> 00:06,000\ntwo\n")

    read_subtitle_file(tmp_path / "a", tmp_path / "track.srt", "mp4")

    assert captions(tmp_path, (tmp_path / "track.srt").read_text()) == [
        (0, 2, "one"),
        (2, 4, "one\\Ntwo"),
        (4, 6, "two"),
    ]


def test_overlapping_events_of_ass_share_their_time_in_mp4(tmp_path: Path):
    events = (
        "Dialogue: 0,0:00:00.00,0:00:04.00,Odd,,0,0,0,,{\\i1}one{\\i0}, {\\pos(1,2)}x < 5\\Nand <b>",
        "Dialogue: 0,0:00:02.00,0:00:06.00,Odd,,0,0,0,,{\\an8}two{a remark}",
        "Dialogue: 1,0:00:02.00,0:00:06.00,Odd,,0,0,0,,two",
        "Dialogue: 0,0:00:00.00,0:00:06.00,Odd,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}",
        "Comment: 0,0:00:00.00,0:00:06.00,Odd,,0,0,0,,not shown",
        "Dialogue: 0,0:00:07.00,0:00:06.00,Odd,,0,0,0,,backwards",
    )
    (tmp_path / "a").write_text("[Script Info]\n\n[Events]\n" + "\n".join(events) + "\n")

    track = read_subtitle_file(tmp_path / "a", tmp_path / "track.srt", "mp4")

    assert (track.kind, track.has_styles, track.starts) == ("srt", True, (0, 2, 4))
    shown = captions(tmp_path, (tmp_path / "track.srt").read_text())
    assert [(start, end) for start, end, _ in shown] == [(0, 2), (2, 4), (4, 6)]
    assert shown[0][2] == "{\\i1}one{\\i0}, x < 5\\Nand <\u2060b>"
    assert shown[1][2] == f"{shown[0][2]}\\Ntwo"
    assert shown[2][2] == "two"


def test_an_ass_script_is_detected_by_its_content(tmp_path: Path):
    (tmp_path / "a").write_text("\ufeff[Script Info]\nTitle: x\n")
    (tmp_path / "b").write_text(SRT)
    (tmp_path / "c").write_text("[Script Info]\nTitle: x\n", encoding="utf-16")

    assert is_ass(tmp_path / "a")
    assert not is_ass(tmp_path / "b")
    assert is_ass(tmp_path / "c")


GIVEN = (
    "\ufeff[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nStyle: Odd,Comic,40\r\n\r\n"
    "[Fonts]\r\nfontname: evil.ttf\r\n[not a section!!\r\n\r\n[Graphics]\r\nfilename: x.png\r\n#####\r\n\r\n"
    "[Aegisub Project Garbage]\r\nAudio File: /home/me/secret.wav\r\n\r\n[Events]\r\n"
    "Dialogue: 0,0:00:01.00,0:00:02.50,Odd,,0,0,0,,{\\pos(1,2)}Hi\r\nComment: 0,0:00:05.00,0:00:06.00,Odd,,0,0,0,,n\r\n"
)


def test_a_sanitized_script_keeps_styles_and_loses_embedded_files(tmp_path: Path):
    (tmp_path / "a.ass").write_text(GIVEN, newline="")

    script = sanitize_ass(tmp_path / "a.ass")

    assert script.shown == ((1, 2.5),)
    assert "Style: Odd,Comic,40\n" in script.text
    assert "{\\pos(1,2)}Hi" in script.text
    assert not any(word in script.text for word in ("evil", "png", "####", "secret", "\r", "not a section"))


def test_a_script_without_events_is_rejected(tmp_path: Path):
    (tmp_path / "a.ass").write_text(GIVEN.replace("Dialogue", "Comment"), newline="")

    with pytest.raises(BadSource, match="without events"):
        sanitize_ass(tmp_path / "a.ass")


def test_a_script_with_too_long_lines_is_rejected(tmp_path: Path):
    (tmp_path / "a.ass").write_text(GIVEN.replace("Hi", "Hi" * 20_000), newline="")

    with pytest.raises(BadSource, match="characters"):
        sanitize_ass(tmp_path / "a.ass")
