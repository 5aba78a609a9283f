from functools import cache
from pathlib import Path

import numpy as np
import pytest

from callsheet.media.fonts import FONTCONFIG, FONTS, fonts_digest
from callsheet.media.subtitles.ass import Line, escape_text

from .drawing import box, draw, font_log, like, lit, style

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


def lines(text: str, **fields) -> list[Line]:
    return [Line(0, 1, escape_text(text), style(**{"font_size": 40, "stroke_width": 0, **fields}))]


@pytest.mark.parametrize("weight", [400, 700])
@pytest.mark.parametrize("text", GREETINGS.values(), ids=GREETINGS)
def test_every_script_has_glyphs_in_the_bundled_fonts(text: str, weight: int):
    log = font_log(lines(text, font_weight=weight))

    assert "(Inter," in log
    assert "failed" not in log
    assert "default font" not in log


MIXED = "Hello שלום مرحبا 你好 こんにちは 안녕 สวัสดี नमस्ते 🎬🔥"


def test_one_line_may_mix_scripts():
    assert "failed" not in font_log(lines(MIXED, font_size=14), size=(640, 60))


@cache
def shape(letter: str) -> bytes:
    """Return the pixels of a letter without the space around it."""
    pixels = lit(draw(lines(letter), seconds=0.1)[0])
    left, top, right, bottom = box(pixels)
    return np.ascontiguousarray(pixels[top:bottom, left:right]).tobytes()


@pytest.mark.parametrize("letter", ["ש", "م", "你", "こ", "안", "ส", "न", "🎬", "🔥", "😀"])
def test_letters_are_not_drawn_as_the_missing_glyph_box(letter: str):
    assert shape(letter) != shape("\U0010fffd")


@pytest.mark.parametrize("text", ["👩‍🚀", "👩‍🚀 lift off", "ok 👩‍🚀"])
def test_joined_emoji_are_one_glyph(text: str):
    def wide(text: str) -> int:
        left, _, right, _ = box(lit(draw(lines(text), seconds=0.1)[0]))
        return right - left

    assert wide(text) == pytest.approx(wide(text.replace("👩‍🚀", "🚀")), abs=8)


def test_a_missing_glyph_is_logged():
    assert "failed" in font_log(lines("\U0010fffd"))


def test_right_to_left_words_are_in_order():
    text_style = style(font_size=40, stroke_width=0)
    text = "{\\1c&H0000FF&}ראשון{\\1c&HFFFFFF&} שני"
    frame = draw([Line(0, 1, text, text_style)], seconds=0.1)[0]

    assert box(like(frame, (255, 0, 0)))[0] > box(like(frame, (255, 255, 255)))[2]


def test_numbers_in_right_to_left_text_run_left_to_right():
    text_style = style(font_size=30, stroke_width=0)
    text = "מחיר {\\1c&H0000FF&}12{\\1c&H00FF00&}34{\\1c&HFFFFFF&} שקל"
    frame = draw([Line(0, 1, text, text_style)], seconds=0.1)[0]

    red, green = box(like(frame, (255, 0, 0))), box(like(frame, (0, 255, 0)))
    assert red[2] <= green[0] + 2
    assert box(lit(frame))[2] > green[2] + 20


def test_arabic_letters_are_connected():
    def wide(text: str) -> int:
        left, _, right, _ = box(lit(draw(lines(text), seconds=0.1)[0]))
        return right - left

    # The same letters, separated by zero-width non-joiners.
    assert wide("\u200c".join("سسسس")) > wide("سسسس") * 1.2


def test_han_characters_have_the_glyphs_of_the_language():
    def last(text: str) -> np.ndarray:
        pixels = lit(draw(lines(text), seconds=0.1)[0])
        _, top, right, bottom = box(pixels)
        return pixels[top:bottom, right - 36 : right]

    chinese, japanese = last("的直"), last("の直")

    assert chinese.shape != japanese.shape or not np.array_equal(chinese, japanese)
    assert np.array_equal(last("的直"), chinese)


def test_all_scripts_have_the_same_line_height():
    def apart(letter: str) -> float:
        # The red letter on the second line shows the position of that line.
        text = f"H{{\\1c&H0000FF&}}\\NH{{\\1c&HFFFFFF&}}{letter}"
        frame = draw([Line(0, 1, text, style(font_size=40, stroke_width=0, position="top", align="left"))])[0]
        return box(like(frame, (255, 0, 0)))[1]

    assert {apart(letter) for letter in ("", "م", "你", "न", "ส", "🔥")} == {apart("H")}


def test_the_font_folder_contains_only_fonts():
    assert {path.suffix for path in FONTS.iterdir()} == {".otf"}


def test_every_bundled_family_is_in_the_fontconfig_file():
    families = {path.name.split("-")[0].removeprefix("Callsheet") for path in (FONTS.parent / "world").iterdir()}

    named = FONTCONFIG.read_text()

    assert {family for family in families if f"<string>Callsheet {family}</string>" in named} == families


def test_the_fonts_digest_depends_on_content_and_not_on_location(tmp_path: Path):
    def font_folder(name: str, **fonts: bytes) -> Path:
        for font, letters in fonts.items():
            path = tmp_path / name / "inter" / f"{font}.otf"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(letters)
        (tmp_path / name / "README.txt").write_text(name)
        return tmp_path / name

    digest = fonts_digest(font_folder("here", bold=b"1", thin=b"2"))

    assert digest == fonts_digest(font_folder("there", bold=b"1", thin=b"2"))
    changes = [
        font_folder("other", bold=b"1", thin=b"3"),
        font_folder("named", bold=b"1", slim=b"2"),
        font_folder("fewer", bold=b"1"),
    ]
    assert len({digest, fonts_digest(), *map(fonts_digest, changes)}) == 5
