"""How wide letters are, and where a line may end between two of them."""

import re
import unicodedata
from functools import lru_cache

from PIL import ImageFont

from callsheet.media.fonts import FONTS

_LINE = 1.2103
"""Height of a line of our fonts, in ems: what the subtitle renderer takes for the size of a font."""
_GRAIN = 1000

_Ranges = tuple[tuple[int, int], ...]

_EMOJI: _Ranges = ((0x1F000, 0x1FAFF),)
_IDEOGRAPHS: _Ranges = ((0x2E80, 0xA4CF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF))
_IDEOGRAPHS += (*_EMOJI, (0x20000, 0x3FFFF))
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese and Khmer, which write words without blanks."""
_HANGUL = (0xAC00, 0xD7AF)
_JOINED = re.compile("[\u0600-\u08ff\u0900-\u0dff\ufb50-\ufdff\ufe70-\ufeff]")
"""Arabic and its kin, and the scripts of India, whose letters hang on a line or grow together."""

_LANGUAGES = {
    "ja": re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "zh": re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
}

_INTER = "inter/Inter-Bold.otf"
_FILES = (
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
"""By the first and last of the letters that a font is asked for."""

_NOT_FIRST = frozenset(
    "、。，．：；？！）」』】〕〉》”’…‥ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ・,.;:!?)]}%”’»ๆฯะาำๅະາຳ"
)
_NOT_LAST = frozenset("（「『【〔〈《“‘([{«$¥￥€£เแโใไ")


def _within(letter: str, ranges: _Ranges) -> bool:
    return any(first <= ord(letter) <= last for first, last in ranges)


@lru_cache(4096)
def width_of(cluster: str) -> float:
    """Return the width of a letter with its marks, for a line of height 1: never too little, at times too much."""
    letter = cluster[0]
    if unicodedata.category(letter) in {"Mn", "Me", "Cf", "Cc"}:
        return 0.0
    if _within(letter, _EMOJI):
        return 1.3 / _LINE
    file = next((file for first, last, file in _FILES if first <= ord(letter) <= last), None)
    # Letters of the same width need no font; nor can one be asked that is not ours.
    return 1.0 / _LINE if file is None else _font(file).getlength(cluster) / _GRAIN / _LINE


@lru_cache
def _font(file: str) -> ImageFont.FreeTypeFont:
    # Letter by letter: what grows together is narrower than that, if anything.
    return ImageFont.truetype(FONTS.parent / file, _GRAIN, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(4096)
def may_break_between(before: str, after: str) -> bool:
    """Tell whether a line may end between two letters."""
    if after.isspace():
        return False
    if before.isspace() and before[-1] != "\u00a0":
        return True
    if before[-1] in "-\u2010\u2013\u2014\u200b" or after[0] in _NOT_FIRST or before[0] in _NOT_LAST:
        return before[-1] in "-\u2010\u2013\u2014\u200b" and after[0].isalpha()
    if _within(before[0], (_HANGUL,)) and _within(after[0], (_HANGUL,)):
        return False
    unspaced = _IDEOGRAPHS + _UNSPACED
    return _within(before[0], unspaced) or _within(after[0], unspaced)


def reads_leftward(cluster: str) -> bool:
    """Tell whether a letter belongs to a script that is read from the right."""
    return bool(cluster) and unicodedata.bidirectional(cluster[0]) in {"R", "AL"}


def are_joined(text: str) -> bool:
    """Tell whether letters hang together, so that nothing may come between them."""
    return _JOINED.search(text) is not None


def language_of(text: str) -> str | None:
    """Return the language whose forms of Chinese letters suit a text, or None without such letters."""
    return next((language for language, letters in _LANGUAGES.items() if letters.search(text)), None)
