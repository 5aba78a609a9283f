"""How wide letters are, and where a line may end between two of them."""

import unicodedata
from functools import lru_cache

from PIL import ImageFont

from callsheet.media.fonts import FONTS

_LINE = 1.2103
"""Height of a line of our fonts, in ems: what the subtitle renderer takes for the size of a font."""
_GRAIN = 1000

_Ranges = tuple[tuple[int, int], ...]

_IDEOGRAPHS: _Ranges = ((0x2E80, 0xA4CF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF))
_IDEOGRAPHS += ((0x1F000, 0x1FAFF), (0x20000, 0x3FFFF))
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese and Khmer, which write words without blanks."""
_HANGUL = (0xAC00, 0xD7AF)
_KANA: _Ranges = ((0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D))
_HAN: _Ranges = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_JOINED: _Ranges = ((0x0900, 0x0DFF),)
"""The scripts of India, whose letters hang on a line or grow together."""

_NOT_FIRST = frozenset(
    "、。，．：；？！）」』】〕〉》”’…‥ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ・,.;:!?)]}%”’»ๆฯ"
)
_NOT_LAST = frozenset("（「『【〔〈《“‘([{«$¥￥€£เแโใไ")


def _within(letter: str, ranges: _Ranges) -> bool:
    return any(first <= ord(letter) <= last for first, last in ranges)


@lru_cache(1)
def _inter() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / "Inter-Bold.otf", _GRAIN, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(4096)
def width_of(cluster: str) -> float:
    """Return the width of a letter with its marks, for a line of height 1: never too little, at times too much."""
    letter = cluster[0]
    if unicodedata.category(letter) in {"Mn", "Me", "Cf", "Cc"}:
        return 0.0
    if _within(letter, _IDEOGRAPHS):
        return _wide(letter)
    if ord(letter) < 0x0530 or 0x1E00 <= ord(letter) <= 0x2BFF:
        return max(_inter().getlength(letter), _GRAIN * 0.1) / _GRAIN / _LINE
    spacing_marks = sum(unicodedata.category(mark) == "Mc" for mark in cluster[1:])
    return (1.0 + 0.6 * spacing_marks) / _LINE


def _wide(letter: str) -> float:
    return (1.3 if ord(letter) >= 0x1F000 and ord(letter) < 0x20000 else 1.0) / _LINE


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
    return any(unicodedata.bidirectional(letter) == "AL" or _within(letter, _JOINED) for letter in text)


def language_of(text: str) -> str | None:
    """Return the language whose forms of Chinese letters suit a text, or None without such letters."""
    if any(_within(letter, _KANA) for letter in text):
        return "ja"
    if any(_within(letter, (_HANGUL,)) for letter in text):
        return "ko"
    return "zh" if any(_within(letter, _HAN) for letter in text) else None
