from functools import cache
from pathlib import Path

import numpy as np
import pytest

from callsheet.media.fonts import FONTCONFIG, FONTS, fonts_digest
from callsheet.media.subtitles.ass import Line, literal

from .drawing import box, complaints, draw, like, lit, style

GREETINGS = {
    "Latin": "Hello",
    "Vietnamese": "Xin chào",
    "Greek": "Γειά σου",
    "Russian": "Привет",
    "Hebrew": "שלום",
    "Arabic": "مرحبا",
    "Persian": "سلام چطوری؟ پژگک",
    "Urdu": "ہیلو ٹھیک ہے",
    "Simplified Chinese": "你好，世界",
    "Traditional Chinese": "歡迎觀賞，臺灣電影",
    "Japanese": "こんにちは、カタカナ・漢字ﾊﾝｶｸ",
    "Korean": "안녕하세요 뷁 똠방각하",
    "Thai": "สวัสดีครับ",
    "Hindi": "नमस्ते",
    "Bengali": "নমস্কার",
    "Punjabi": "ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ",
    "Gujarati": "નમસ્તે",
    "Odia": "ନମସ୍କାର",
    "Tamil": "வணக்கம்",
    "Telugu": "నమస్కారం",
    "Kannada": "ನಮಸ್ಕಾರ",
    "Malayalam": "നമസ്കാരം",
    "Sinhala": "ආයුබෝවන්",
    "Armenian": "Բարեւ",
    "Georgian": "გამარჯობა",
    "Amharic": "ሰላም",
    "Khmer": "សួស្តី",
    "Lao": "ສະບາຍດີ",
    "Burmese": "မင်္ဂလာပါ",
    "Symbols": "→ ✓ ★ ☎ ♥ ½ € ₹ ™ ∞ … — “”",
    "Emoji": "🎬🔥😀🎉👍🏽🇩🇪👩‍🚀❤️🫠",
}


def lines(text: str, **looks) -> list[Line]:
    return [Line(0, 1, literal(text), style(**{"font_size": 40, "stroke_width": 0, **looks}))]


@pytest.mark.parametrize("weight", [400, 700])
@pytest.mark.parametrize("text", GREETINGS.values(), ids=GREETINGS)
def test_every_letter_of_the_world_has_a_glyph_in_our_own_fonts(text: str, weight: int):
    said = complaints(lines(text, font_weight=weight))

    assert "(Inter," in said
    assert "failed" not in said
    assert "default font" not in said


MIXED = "Hello שלום مرحبا 你好 こんにちは 안녕 สวัสดี नमस्ते 🎬🔥"


def test_one_line_may_mix_the_scripts_of_the_world():
    assert "failed" not in complaints(lines(MIXED, font_size=14), size=(640, 60))


@cache
def shape(letter: str) -> bytes:
    """What a letter looks like: its pixels without the room around them."""
    pixels = lit(draw(lines(letter), seconds=0.1)[0])
    left, top, right, bottom = box(pixels)
    return np.ascontiguousarray(pixels[top:bottom, left:right]).tobytes()


@pytest.mark.parametrize("letter", ["ש", "م", "你", "こ", "안", "ส", "न", "🎬", "🔥", "😀"])
def test_letters_are_not_drawn_as_the_box_that_stands_for_missing_ones(letter: str):
    assert shape(letter) != shape("\U0010fffd")


@pytest.mark.parametrize("text", ["👩‍🚀", "👩‍🚀 lift off", "ok 👩‍🚀"])
def test_joined_emoji_are_one(text: str):
    def wide(text: str) -> int:
        left, _, right, _ = box(lit(draw(lines(text), seconds=0.1)[0]))
        return right - left

    assert wide(text) == pytest.approx(wide(text.replace("👩‍🚀", "🚀")), abs=8)


def test_a_letter_in_no_font_is_told():
    assert "failed" in complaints(lines("\U0010fffd"))


def test_words_written_from_the_right_stand_in_their_order():
    looks = style(font_size=40, stroke_width=0)
    text = "{\\1c&H0000FF&}ראשון{\\1c&HFFFFFF&} שני"
    frame = draw([Line(0, 1, text, looks)], seconds=0.1)[0]

    assert box(like(frame, (255, 0, 0)))[0] > box(like(frame, (255, 255, 255)))[2]


def test_numbers_and_names_within_words_from_the_right_are_read_from_the_left():
    looks = style(font_size=30, stroke_width=0)
    text = "מחיר {\\1c&H0000FF&}12{\\1c&H00FF00&}34{\\1c&HFFFFFF&} שקל"
    frame = draw([Line(0, 1, text, looks)], seconds=0.1)[0]

    red, green = box(like(frame, (255, 0, 0))), box(like(frame, (0, 255, 0)))
    assert red[2] <= green[0] + 2
    assert box(lit(frame))[2] > green[2] + 20


def test_arabic_letters_are_joined():
    def wide(text: str) -> int:
        left, _, right, _ = box(lit(draw(lines(text), seconds=0.1)[0]))
        return right - left

    # The same letters kept apart by a character that forbids joining.
    assert wide("\u200c".join("سسسس")) > wide("سسسس") * 1.2


def test_chinese_letters_have_the_forms_of_the_language():
    def last(text: str) -> np.ndarray:
        pixels = lit(draw(lines(text), seconds=0.1)[0])
        _, top, right, bottom = box(pixels)
        return pixels[top:bottom, right - 36 : right]

    chinese, japanese = last("的直"), last("の直")

    assert chinese.shape != japanese.shape or not np.array_equal(chinese, japanese)
    assert np.array_equal(last("的直"), chinese)


def test_lines_are_of_one_height_whatever_the_script():
    def apart(letter: str) -> float:
        # A red letter alone on the second line tells where that line stands.
        text = f"H{{\\1c&H0000FF&}}\\NH{{\\1c&HFFFFFF&}}{letter}"
        frame = draw([Line(0, 1, text, style(font_size=40, stroke_width=0, position="top", align="left"))])[0]
        return box(like(frame, (255, 0, 0)))[1]

    assert {apart(letter) for letter in ("", "م", "你", "न", "ส", "🔥")} == {apart("H")}


def test_the_folder_given_to_the_renderer_holds_fonts_alone():
    assert {path.suffix for path in FONTS.iterdir()} == {".otf"}


def test_every_family_that_comes_along_is_looked_for_in_an_order_of_our_own():
    families = {path.name.split("-")[0].removeprefix("Callsheet") for path in (FONTS.parent / "world").iterdir()}

    named = FONTCONFIG.read_text()

    assert {family for family in families if f"<string>Callsheet {family}</string>" in named} == families


def test_fonts_are_known_by_what_they_are_and_not_by_where_they_lie(tmp_path: Path):
    def laid(name: str, **fonts: bytes) -> Path:
        for font, letters in fonts.items():
            path = tmp_path / name / "inter" / f"{font}.otf"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(letters)
        (tmp_path / name / "README.txt").write_text(name)
        return tmp_path / name

    digest = fonts_digest(laid("here", bold=b"1", thin=b"2"))

    assert digest == fonts_digest(laid("there", bold=b"1", thin=b"2"))
    changes = [laid("other", bold=b"1", thin=b"3"), laid("named", bold=b"1", slim=b"2"), laid("fewer", bold=b"1")]
    assert len({digest, fonts_digest(), *map(fonts_digest, changes)}) == 5
