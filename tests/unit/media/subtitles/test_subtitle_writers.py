"""Subtitle writers, with round trips through the parsers."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.ass import escape_text
from callsheet.media.subtitles.cue_segmentation import Cue
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.subtitle_parsers import is_ass, read_captions
from callsheet.media.subtitles.subtitle_writers import ass, srt, vtt


def cue(start: float, end: float, *lines: str) -> Cue:
    words = [line.split() for line in lines]
    return Cue(start, end, tuple(tuple(Word(start, end, text) for text in line) for line in words))


TWO = [cue(1, 2.5, "Fish & chips", "for <b>two</b>"), cue(3661.04, 3662.999, "שלום, 映画 👍")]


def test_srt_has_the_standard_format():
    assert srt([cue(1, 2.5, "Hello", "there."), cue(3661.04, 3662.999, "Again.")]) == (
        "1\n00:00:01,000 --> 00:00:02,500\nHello\nthere.\n\n2\n01:01:01,040 --> 01:01:02,999\nAgain.\n\n"
    )


def test_vtt_escapes_markup():
    assert vtt([cue(1, 2.5, "a < b", "&c --> d")]) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\na &lt; b\n&amp;c --&gt; d\n"
    )


def test_a_spoken_arrow_begins_no_caption_in_srt(tmp_path: Path):
    path = tmp_path / "arrow.srt"
    path.write_text(srt([cue(0, 1, "00:00:05,000 --> 00:00:06,000"), cue(2, 3, "x")]), encoding="utf-8")

    assert [(c.start, c.text) for c in read_captions(path).captions] == [(0, "00:00:05,000 → 00:00:06,000"), (2, "x")]


@pytest.mark.parametrize("name", ["captions.srt", "captions.vtt"])
def test_times_and_lines_round_trip(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text((srt if name.endswith("srt") else vtt)(TWO), encoding="utf-8")

    found = read_captions(path).captions

    assert [(c.start, c.end) for c in found] == [(1, 2.5), (3661.04, 3662.999)]
    assert found[1].text == "שלום, 映画 👍"
    if name.endswith("vtt"):
        assert found[0].text == "Fish & chips\\Nfor <b>two</b>"


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12), min_size=1, max_size=6))
def test_any_text_round_trips_through_vtt(tmp_path_factory: pytest.TempPathFactory, texts: list[str]):
    path = tmp_path_factory.getbasetemp() / "said.vtt"
    path.write_text(vtt([cue(0, 1, " ".join(texts))]), encoding="utf-8")

    (found,) = read_captions(path).captions

    assert found.text == escape_text(" ".join(texts))


def test_files_without_captions_are_valid(tmp_path: Path):
    path = tmp_path / "captions.ass"
    path.write_text(ass([], TextStyle(), width=640, height=360), encoding="utf-8")

    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n"
    assert is_ass(path)


def test_webvtt_without_captions_is_readable(tmp_path: Path):
    (tmp_path / "captions.vtt").write_text(vtt([]))

    assert read_captions(tmp_path / "captions.vtt").captions == []


def test_ass_has_the_frame_size_and_the_text(tmp_path: Path):
    script = ass(TWO, TextStyle(uppercase=True, font_family="Inter"), width=1080, height=1920)

    assert "PlayResX: 1080\nPlayResY: 1920" in script
    assert "0:00:01.00,0:00:02.50" in script
    assert "FISH & CHIPS\\NFOR <B>TWO</B>" in script


def test_karaoke_uses_the_word_times():
    spoken = Cue(1.0, 2.2, ((Word(1.0, 1.3, "One"), Word(1.5, 2.0, "two")),))

    script = ass([spoken], TextStyle(effect="karaoke"), width=640, height=360)

    (event,) = [line for line in script.splitlines() if line.startswith("Dialogue:")]
    waits, runs = re.findall(r"\\k(\d+)", event), re.findall(r"\\kf(\d+)", event)
    assert (waits, runs) == (["0", "20"], ["30", "50"])


def test_vtt_can_contain_word_timestamps(tmp_path: Path):
    lines = ((Word(1.0, 1.3, "R&B"), Word(1.5, 2.0, "two")), (Word(2.0, 2.1, "映"), Word(2.1, 2.2, "画", glued=True)))
    path = tmp_path / "timed.vtt"
    path.write_text(vtt([Cue(1.0, 2.2, lines)], word_times=True), encoding="utf-8")

    (found,) = read_captions(path).captions

    assert "R&amp;B <00:00:01.500>two\n<00:00:02.000>映<00:00:02.100>画\n" in path.read_text(encoding="utf-8")
    assert found.text == "R&B two\\N映画"
    assert [(word.text.strip(), word.start, word.end) for word in found.words] == [
        *(("R&B", 1.0, 1.5), ("two", 1.5, 2.0), ("映", 2.0, 2.1), ("画", 2.1, 2.2)),
    ]
