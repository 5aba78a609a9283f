"""Words followed as they are spoken."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from callsheet.media.subtitles.text_wrapping import TextUnit

_HELD = 0.6
"""Seconds up to which a word stays marked until the next one begins."""


class Word(Protocol):
    """A word with the seconds of the film at which it is spoken."""

    @property
    def text(self) -> str: ...  # noqa: D102 - as it is written; blanks around it do not matter

    @property
    def start(self) -> float: ...  # noqa: D102

    @property
    def end(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A word with its times."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """The units from `first` to `last` (not included), spoken from `start` to `end`."""

    first: int
    last: int
    start: float
    end: float


def spoken(units: Sequence[TextUnit], words: Sequence[Word] | None, start: float, end: float) -> list[Spoken]:
    """Find the words in a text shown from `start` to `end`. Without times, they are spread by their length."""
    found = _found(units, words) if words else _spread(units, start, end)
    return list(_in_order(found, start, end))


def _found(units: Sequence[TextUnit], words: Sequence[Word]) -> Iterable[Spoken]:
    """Look for the words one after another; one that is not there is passed over."""
    letters = [(at, unit.plain.casefold()) for at, unit in enumerate(units) if unit.plain and not unit.blank]
    text = "".join(letter for _, letter in letters)
    owners = [at for at, letter in letters for _ in letter]
    firsts = {first for first, _ in _runs(units)}
    reached = 0
    for word in words:
        wanted = "".join(word.text.split()).casefold()
        places = _places(text, wanted, reached) if wanted else []
        # Where the words go on, or else where one begins: "a" is not the one in "that".
        place = next((at for at in places if at == reached or owners[at] in firsts), min(places, default=None))
        if place is not None:
            reached = place + len(wanted)
            yield Spoken(owners[place], owners[reached - 1] + 1, word.start, word.end)


def _places(text: str, wanted: str, reached: int) -> list[int]:
    return [reached + found.start() for found in re.finditer(re.escape(wanted), text[reached:])]


def _spread(units: Sequence[TextUnit], start: float, end: float) -> Iterable[Spoken]:
    runs = _runs(units)
    share = (end - start) / max(1, sum(last - first for first, last in runs))
    at = start
    for first, last in runs:
        after = at + (last - first) * share
        yield Spoken(first, last, at, after)
        at = after


def _runs(units: Sequence[TextUnit]) -> list[tuple[int, int]]:
    """Return the stretches between blanks."""
    runs: list[tuple[int, int]] = []
    begun: int | None = None
    for at, unit in enumerate(units):
        if unit.blank or unit.forced:
            runs += [(begun, at)] if begun is not None else []
            begun = None
        elif begun is None and unit.plain:
            begun = at
    return [*runs, (begun, len(units))] if begun is not None else runs


def _in_order(found: Iterable[Spoken], start: float, end: float) -> Iterable[Spoken]:
    """Keep words within the time of the text, each after the one before."""
    reached = start
    for word in found:
        begin = min(max(word.start, reached), end)
        reached = min(max(word.end, begin), end)
        yield Spoken(word.first, word.last, begin, reached)


def moments(words: Sequence[Spoken], start: float, end: float) -> list[tuple[float, float, int | None]]:
    """Return the stretches of time between `start` and `end`, each with the word that is marked in it."""
    stretches: list[tuple[float, float, int | None]] = []
    reached = start
    for number, word in enumerate(words):
        following = words[number + 1].start if number + 1 < len(words) else end
        until = following if following - word.end <= _HELD else word.end
        stretches += [(reached, word.start, None), (word.start, until, number)]
        reached = until
    stretches.append((reached, end, None))
    return [(a, b, number) for a, b, number in stretches if round(b * 100) > round(a * 100)]
