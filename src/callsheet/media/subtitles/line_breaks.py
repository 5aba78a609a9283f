"""Where a line of text may end, and where it had better end."""

import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.glyph_metrics import may_break_between

_MARKS = ("Mn", "Mc", "Me")
_SENTENCE_ENDS = frozenset(".!?…。！？｡؟۔।॥")
_CLAUSE_ENDS = frozenset(",;:、，；：،؛–—")
_CLOSING = "\"'”’»›)]}）］」』】〉》"
_CLINGS = 3
"""Width of a word so short that it belongs to the next: the, of, and; le, un; der, zu."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Words that stay together on a line: one, as a rule."""

    words: tuple[Word, ...]
    width: int
    apart: bool
    """Whether a blank stands before it when it follows another on a line."""
    ends_sentence: bool
    ends_clause: bool
    clings: bool
    """Whether it should not be the last on a line, since it belongs to what follows."""

    @property
    def start(self) -> float:
        """When its first word begins."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """When its last word ends."""
        return self.words[-1].end


def units_of(words: Iterable[Word]) -> list[Unit]:
    """Return words in the smallest groups that a line may end between."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and not _may_end_between(groups[-1][-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [_unit(tuple(group)) for group in groups]


def join(words: Iterable[Word]) -> str:
    """Return words as they are written behind each other."""
    return "".join(f"{'' if word.glued else ' '}{word.text}" for word in words).lstrip(" ")


def width(text: str) -> int:
    """Return how many characters wide a text is; full-width characters count as two, marks on others as none."""
    return sum(_width(character) for character in text)


def lines_needed(units: Iterable[Unit], most: int) -> Iterator[int]:
    """Return how many lines of `most` characters are needed up to each of the units."""
    lines, used = 0, most + 1
    for unit in units:
        used += unit.apart + unit.width
        if used > most:
            lines, used = lines + 1, unit.width
        yield lines


def lay_lines(units: Sequence[Unit], most: int) -> list[tuple[Word, ...]]:
    """Return units in as few lines of `most` characters as they fit into, as even as sense allows.

    A unit that is wider than a line has one of its own.
    """
    count = max(lines_needed(units, most), default=0)
    if count < 2:
        return [tuple(word for unit in units for word in unit.words)] if units else []
    reach = [0, *itertools.accumulate(unit.apart + unit.width for unit in units)]
    costs = [0.0, *(_break_cost(before, after) for before, after in itertools.pairwise(units))]
    even = reach[-1] / count

    def discomfort(ends: tuple[int, ...]) -> float:
        edges = (0, *ends, len(units))
        total = sum(costs[end] for end in ends)
        for start, end in itertools.pairwise(edges):
            wide = reach[end] - reach[start] - units[start].apart
            # The limit holds, except where one unit alone is wider.
            too_wide = 1_000 * (wide > most and end > start + 1)
            orphan = 4 * (end == start + 1)
            total += (wide - even) ** 2 / most + orphan + too_wide
        return total

    ends = min(itertools.combinations(range(1, len(units)), count - 1), key=discomfort)
    lines = itertools.pairwise((0, *ends, len(units)))
    return [tuple(word for unit in units[start:end] for word in unit.words) for start, end in lines]


def _break_cost(before: Unit, after: Unit) -> float:
    if before.ends_sentence:
        return -8
    if before.ends_clause:
        return -4
    return 4 * tears(before, after)


def tears(before: Unit, after: Unit) -> bool:
    """Tell whether a break takes apart what belongs together, though it is allowed."""
    last, first = before.words[-1].text[-1], after.words[0].text[0]
    # Japanese: what is written in hiragana belongs to what stands before it, and katakana to each other.
    return before.clings or (
        after.words[0].glued and (_is_hiragana(first) or (_is_katakana(last) and _is_katakana(first)))
    )


def _unit(words: tuple[Word, ...]) -> Unit:
    text = join(words)
    size = width(text)
    last = text.rstrip(_CLOSING)[-1:]
    clings = text.isalpha() and size == len(text) <= _CLINGS
    return Unit(words, size, not words[0].glued, last in _SENTENCE_ENDS, last in _CLAUSE_ENDS, clings)


def _may_end_between(before: Word, after: Word) -> bool:
    if not after.glued:
        return True
    first = after.text[0]
    return unicodedata.category(first) not in _MARKS and may_break_between(before.text[-1], first)


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_hiragana(character: str) -> bool:
    return "\u3040" <= character <= "\u309f"


def _is_katakana(character: str) -> bool:
    return "\u30a0" <= character <= "\u30ff"
