"""Line breaking of captions by words, with a preference for good break points."""

import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.glyph_metrics import may_break_between

_COMBINING_MARKS = ("Mn", "Mc", "Me")
_SENTENCE_ENDS = frozenset(".!?…。！？｡؟۔।॥")
_CLAUSE_ENDS = frozenset(",;:、，；：،؛–—")
_CLOSING_MARKS = "\"'”’»›)]}）］」』】〉》"
_MAX_FUNCTION_WORD_WIDTH = 3
"""Maximum width of a word that should stay with the next word: the, of, and; le, un; der, zu."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Words without a possible line break between them; usually one word."""

    words: tuple[Word, ...]
    width: int
    space_before: bool
    """Whether a space separates it from a preceding unit on the same line."""
    ends_sentence: bool
    ends_clause: bool
    binds_to_next: bool
    """Whether it should not end a line, since it belongs to the next word."""

    @property
    def start(self) -> float:
        """Start of the first word, in seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """End of the last word, in seconds."""
        return self.words[-1].end


def group_words(words: Iterable[Word]) -> list[Unit]:
    """Return the smallest groups of words between which a line may break."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and not _may_break(groups[-1][-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [_unit(tuple(group)) for group in groups]


def join_words(words: Iterable[Word]) -> str:
    """Return the text of consecutive words."""
    return "".join(f"{'' if word.glued else ' '}{word.text}" for word in words).lstrip(" ")


def display_width(text: str) -> int:
    """Return the width of a text in columns. Full-width characters count as two, combining marks as zero."""
    return sum(_character_width(character) for character in text)


def lines_needed(units: Iterable[Unit], max_width: int) -> Iterator[int]:
    """Yield, for each unit, the number of lines of `max_width` columns that are needed up to it."""
    lines, used = 0, max_width + 1
    for unit in units:
        used += unit.space_before + unit.width
        if used > max_width:
            lines, used = lines + 1, unit.width
        yield lines


def balance_lines(units: Sequence[Unit], max_width: int) -> list[tuple[Word, ...]]:
    """Return units in as few lines of `max_width` columns as possible, with balanced lengths and good break points.

    A unit wider than a line has its own line.
    """
    count = max(lines_needed(units, max_width), default=0)
    if count < 2:
        return [tuple(word for unit in units for word in unit.words)] if units else []
    offsets = [0, *itertools.accumulate(unit.space_before + unit.width for unit in units)]
    costs = [0.0, *(_break_cost(before, after) for before, after in itertools.pairwise(units))]
    mean = offsets[-1] / count

    def penalty(ends: tuple[int, ...]) -> float:
        edges = (0, *ends, len(units))
        total = sum(costs[end] for end in ends)
        for start, end in itertools.pairwise(edges):
            width = offsets[end] - offsets[start] - units[start].space_before
            # The width limit is strict, except for a line with a single unit.
            too_wide = 1_000 * (width > max_width and end > start + 1)
            orphan = 4 * (end == start + 1)
            total += (width - mean) ** 2 / max_width + orphan + too_wide
        return total

    ends = min(itertools.combinations(range(1, len(units)), count - 1), key=penalty)
    lines = itertools.pairwise((0, *ends, len(units)))
    return [tuple(word for unit in units[start:end] for word in unit.words) for start, end in lines]


def _break_cost(before: Unit, after: Unit) -> float:
    if before.ends_sentence:
        return -8
    if before.ends_clause:
        return -4
    return 4 * splits_phrase(before, after)


def splits_phrase(before: Unit, after: Unit) -> bool:
    """Return whether a possible line break would separate words that belong together."""
    last, first = before.words[-1].text[-1], after.words[0].text[0]
    # Japanese: hiragana belongs to the preceding character, and consecutive katakana form one word.
    return before.binds_to_next or (
        after.words[0].glued and (_is_hiragana(first) or (_is_katakana(last) and _is_katakana(first)))
    )


def _unit(words: tuple[Word, ...]) -> Unit:
    text = join_words(words)
    width = display_width(text)
    last = text.rstrip(_CLOSING_MARKS)[-1:]
    binds_to_next = text.isalpha() and width == len(text) <= _MAX_FUNCTION_WORD_WIDTH
    return Unit(words, width, not words[0].glued, last in _SENTENCE_ENDS, last in _CLAUSE_ENDS, binds_to_next)


def _may_break(before: Word, after: Word) -> bool:
    if not after.glued:
        return True
    first = after.text[0]
    return unicodedata.category(first) not in _COMBINING_MARKS and may_break_between(before.text[-1], first)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_hiragana(character: str) -> bool:
    return "\u3040" <= character <= "\u309f"


def _is_katakana(character: str) -> bool:
    return "\u30a0" <= character <= "\u30ff"
