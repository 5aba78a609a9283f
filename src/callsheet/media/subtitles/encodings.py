"""Decode text of an unknown encoding.

UTF-8 and UTF-16 are recognized by their form. The encodings that came before Unicode are distinguished by the letters
that they give: the text is decoded by each, and the most probable reading is taken. Subtitles are often a few lines,
for which statistics of byte pairs are too coarse.
"""

import codecs
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from callsheet.media.subtitles.letter_frequencies import LANGUAGES

_MAX_SAMPLE = 20_000
"""Bytes that are read to guess an encoding."""
_REPLACEMENT = "\ufffd"
_MAX_DAMAGED_SHARE = 0.1
"""Share of unreadable characters among those outside ASCII up to which a text is damaged UTF-8."""

_CANDIDATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "cp1252": (
        "Windows-1252",
        ("German", "French", "Spanish", "Portuguese", "Italian", "Nordic"),
    ),
    "cp1250": ("Windows-1250", ("Polish", "Czech", "Hungarian", "Romanian", "Croatian", "German")),
    "cp1251": ("Windows-1251", ("Russian", "Ukrainian", "Bulgarian", "Serbian")),
    "gb18030": ("GBK", ("Chinese",)),
    "cp932": ("Shift-JIS", ("Japanese",)),
    "cp950": ("Big5", ("Chinese",)),
    "cp949": ("EUC-KR", ("Korean",)),
    "cp1253": ("Windows-1253", ("Greek",)),
    "cp1254": ("Windows-1254", ("Turkish",)),
    "cp1255": ("Windows-1255", ("Hebrew",)),
    "cp1256": ("Windows-1256", ("Arabic",)),
    "cp874": ("Windows-874", ("Thai",)),
    "koi8_r": ("KOI8-R", ("Russian",)),
    "cp866": ("CP866", ("Russian",)),
    "iso8859_2": ("ISO-8859-2", ("Polish", "Czech", "Hungarian", "Croatian")),
    "euc_jp": ("EUC-JP", ("Japanese",)),
    "iso2022_jp": ("ISO-2022-JP", ("Japanese",)),
}
"""Encodings, by their name in Python, with their usual names and their languages. Of equal readings the first wins."""

_RARE = math.log(1e-5)
_ASCII = math.log(1 / 40)
_SYMBOL = math.log(1e-3)
_INSIDE_WORD = -5.0
"""Added for a symbol between two letters, and for a capital after a small letter."""
_LAST_LATIN, _FIRST_HAN = "\u024f", "\u2e80"
_LARGE_ALPHABET = 60
"""Letters above which a language has thousands of characters."""
_SYMBOLS = frozenset("–—“”„‘’«»…¿¡°№、。？！「」『』（），：・ー　～《》♪·£€©®§½×")


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, and how it was read."""

    text: str
    guessed: str | None = None
    """The usual name of the encoding, if it was guessed."""
    unreadable: int = 0
    """Characters that could not be decoded."""


def decode_text(data: bytes) -> DecodedText:
    """Return the text of a file in any usual encoding."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
    ):
        if data.startswith(mark):
            return _replaced(data, encoding)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _replaced(data, "utf-16")
    if (wide := _utf_16_order(data)) is not None:
        return _replaced(data, wide)
    if b"\x1b$" not in data:  # ISO-2022-JP has only bytes of ASCII
        damaged = _replaced(data, "utf-8")
        outside = sum(letter > "\x7f" for letter in damaged.text)
        if damaged.unreadable <= _MAX_DAMAGED_SHARE * outside:
            return damaged
    encoding = _most_probable(data[:_MAX_SAMPLE])
    decoded = _replaced(data, encoding)
    return DecodedText(decoded.text, _CANDIDATES[encoding][0], decoded.unreadable)


def _replaced(data: bytes, encoding: str) -> DecodedText:
    text = data.decode(encoding, "replace")
    return DecodedText(text, unreadable=text.count(_REPLACEMENT))


def _utf_16_order(data: bytes) -> str | None:
    """Return the encoding of UTF-16 without a mark. Digits, spaces and line breaks have a zero byte in it."""
    head = data[: _MAX_SAMPLE // 2 * 2]
    first, second = head[::2].count(0), head[1::2].count(0)
    if 10 * max(first, second) < len(head) // 2 or 10 * min(first, second) > max(first, second):
        return None
    return "utf-16-be" if first > second else "utf-16-le"


def _most_probable(sample: bytes) -> str:
    """Return the encoding in which the bytes are the most probable text."""
    scores = {encoding: score for encoding in _CANDIDATES if (score := _score(sample, encoding)) is not None}
    return max(scores, key=lambda encoding: scores[encoding], default="cp1252")


def _score(sample: bytes, encoding: str) -> float | None:
    """Return the logarithm of the probability of a text; None if it is not valid in this encoding."""
    # The sample may end inside of a character.
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample, final=len(sample) < _MAX_SAMPLE)
    outside = sum(letter > "\x7f" for letter in text)
    if text.count(_REPLACEMENT) * 50 > outside:
        return None
    languages = _CANDIDATES[encoding][1]
    penalty = sum(_penalties(text)) + text.count(_REPLACEMENT) * _RARE
    lowered = [letter for letter in text.lower() if letter != _REPLACEMENT]
    return penalty + max(_language_score(lowered, language) for language in languages)


def _penalties(text: str) -> Iterator[float]:
    """Yield a penalty for each letter that does not fit to the one before."""
    for before, letter, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if before > "\x7f" or letter > "\x7f":
            mixed = _mixes_scripts(before, letter) or _mixes_scripts(letter, before)
            capital_inside = before.islower() and letter.isupper()
            if mixed or capital_inside or (before.isalpha() and after.isalpha() and _is_odd_inside_word(letter)):
                yield _INSIDE_WORD


def _mixes_scripts(letter: str, foreign: str) -> bool:
    """Return whether a letter of ASCII stands beside one of another alphabet than the Latin one."""
    return (
        letter <= "\x7f"
        and letter.isalpha()
        and _LAST_LATIN < foreign < _FIRST_HAN
        and unicodedata.category(foreign)[0] in "LM"
    )


def _is_odd_inside_word(letter: str) -> bool:
    return letter > "\x7f" and letter not in _SYMBOLS and unicodedata.category(letter)[0] in "SPCN"


def _language_score(letters: list[str], language: str) -> float:
    """Return the logarithm of the probability of letters in a language."""
    table, rare = _probabilities(language)
    return sum(table.get(letter) or (_ASCII if letter < "\x7f" else rare) for letter in letters)


@cache
def _probabilities(language: str) -> tuple[dict[str, float], float]:
    """Return the logarithms of the probabilities of listed letters, and of any other."""
    letters = [letter for letter in dict.fromkeys(LANGUAGES[language]) if letter > "\x7f"]
    if len(letters) > _LARGE_ALPHABET:  # Zipf's law
        weights = [1 / (rank + 10) for rank in range(len(letters))]
        share, rare = 0.7, math.log(0.2 / 4000)
    else:
        order = list(dict.fromkeys(LANGUAGES[language]))
        weights = [math.exp(-rank / 9) for rank, letter in enumerate(order) if letter > "\x7f"]
        share, rare = 0.9 * sum(weights) / sum(math.exp(-rank / 9) for rank in range(len(order))), _RARE
    total = sum(weights)
    table = {letter: math.log(share * weight / total) for letter, weight in zip(letters, weights, strict=True)}
    return dict.fromkeys(_SYMBOLS, _SYMBOL) | table, rare
