"""Glyph widths, line break opportunities and script properties of letters."""

import re
import unicodedata
from functools import lru_cache

from PIL import ImageFont

from callsheet.media.fonts import FONTS

_LINE_HEIGHT = 1.2103
"""Line height of the bundled fonts, in em. libass uses the line height as the font size."""
_MEASURE_SIZE = 1000
"""Font size, in pixels, at which widths are measured."""

_Ranges = tuple[tuple[int, int], ...]

_EMOJI: _Ranges = ((0x1F000, 0x1FAFF),)
_IDEOGRAPHS: _Ranges = ((0x2E80, 0xA4CF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF))
_IDEOGRAPHS += (*_EMOJI, (0x20000, 0x3FFFF))
_UNSPACED_SCRIPTS = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese and Khmer, which have no spaces between words."""
_HANGUL = (0xAC00, 0xD7AF)
_JOINING_SCRIPTS = re.compile("[\u0600-\u08ff\u0900-\u0dff\ufb50-\ufdff\ufe70-\ufeff]")
"""Arabic and related scripts, and the scripts of India, whose letters are connected."""

_CJK_LETTERS = {
    "ja": re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "zh": re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
}

_INTER = "inter/Inter-Bold.otf"
_FONT_FILES = (
    (0x0000, 0x052F, _INTER),
    *(
        (first, last, f"world/Callsheet{script}-Bold.ttf")
        for first, last, script in (
            (0x0530, 0x058F, "Armenian"),
            (0x0590, 0x05FF, "Hebrew"),
            (0x0600, 0x08FF, "Arabic"),
            (0x0900, 0x097F, "Devanagari"),
            (0x0980, 0x09FF, "Bengali"),
            (0x0A00, 0x0A7F, "Gurmukhi"),
            (0x0A80, 0x0AFF, "Gujarati"),
            (0x0B00, 0x0B7F, "Oriya"),
            (0x0B80, 0x0BFF, "Tamil"),
            (0x0C00, 0x0C7F, "Telugu"),
            (0x0C80, 0x0CFF, "Kannada"),
            (0x0D00, 0x0D7F, "Malayalam"),
            (0x0D80, 0x0DFF, "Sinhala"),
            (0x0E00, 0x0E7F, "Thai"),
            (0x0E80, 0x0EFF, "Lao"),
            (0x1000, 0x109F, "Myanmar"),
            (0x10A0, 0x10FF, "Georgian"),
            (0x1200, 0x137F, "Ethiopic"),
            (0x1780, 0x17FF, "Khmer"),
        )
    ),
    (0x1E00, 0x2BFF, _INTER),
)
"""First and last code point, and the font file that is used for them."""

_NO_BREAK_BEFORE = frozenset(
    "、。，．：；？！）」』】〕〉》”’…‥ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ・,.;:!?)]}%”’»ๆฯะาำๅະາຳ"
)
_NO_BREAK_AFTER = frozenset("（「『【〔〈《“‘([{«$¥￥€£เแโใไ")


def _is_in(letter: str, ranges: _Ranges) -> bool:
    return any(first <= ord(letter) <= last for first, last in ranges)


@lru_cache(4096)
def glyph_width(cluster: str) -> float:
    """Return the width of a grapheme cluster at a line height of 1. It may be too large, but never too small."""
    letter = cluster[0]
    if unicodedata.category(letter) in {"Mn", "Me", "Cf", "Cc"}:
        return 0.0
    if _is_in(letter, _EMOJI):
        return 1.3 / _LINE_HEIGHT
    file = next((file for first, last, file in _FONT_FILES if first <= ord(letter) <= last), None)
    # CJK letters are one em wide. The fonts of other scripts are unknown, so one em is assumed.
    return 1.0 / _LINE_HEIGHT if file is None else _font(file).getlength(cluster) / _MEASURE_SIZE / _LINE_HEIGHT


@lru_cache
def _font(file: str) -> ImageFont.FreeTypeFont:
    # The basic layout adds single letters. Ligatures are at most narrower.
    return ImageFont.truetype(FONTS.parent / file, _MEASURE_SIZE, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(4096)
def may_break_between(before: str, after: str) -> bool:
    """Return whether a line may break between two grapheme clusters."""
    if after.isspace():
        return False
    if before.isspace() and before[-1] != "\u00a0":
        return True
    if before[-1] in "-\u2010\u2013\u2014\u200b" or after[0] in _NO_BREAK_BEFORE or before[0] in _NO_BREAK_AFTER:
        return before[-1] in "-\u2010\u2013\u2014\u200b" and after[0].isalpha()
    if _is_in(before[0], (_HANGUL,)) and _is_in(after[0], (_HANGUL,)):
        return False
    unspaced = _IDEOGRAPHS + _UNSPACED_SCRIPTS
    return _is_in(before[0], unspaced) or _is_in(after[0], unspaced)


def is_right_to_left(cluster: str) -> bool:
    """Return whether a grapheme cluster belongs to a right-to-left script."""
    return bool(cluster) and unicodedata.bidirectional(cluster[0]) in {"R", "AL"}


def has_joined_letters(text: str) -> bool:
    """Return whether a text contains connected letters, which letter spacing must not separate."""
    return _JOINING_SCRIPTS.search(text) is not None


def cjk_language(text: str) -> str | None:
    """Return the language (ja, ko or zh) that selects the Han glyphs of a text; None without CJK letters."""
    return next((language for language, letters in _CJK_LETTERS.items() if letters.search(text)), None)
