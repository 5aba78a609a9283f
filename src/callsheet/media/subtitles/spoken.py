"""Alignment of spoken words with a displayed text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from callsheet.media.subtitles.text_wrapping import TextUnit

_MAX_HOLD = 0.6
"""Longest pause, in seconds, during which a word stays highlighted until the next one begins."""


class TimedWord(Protocol):
    """A word with its start and end, in seconds of the video."""

    @property
    def text(self) -> str: ...  # noqa: D102 - surrounding spaces are ignored

    @property
    def start(self) -> float: ...  # noqa: D102

    @property
    def end(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A word with its start and end, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SpokenSpan:
    """The text units from `first` to `last` (exclusive), spoken from `start` to `end`."""

    first: int
    last: int
    start: float
    end: float


def align_words(
    units: Sequence[TextUnit], words: Sequence[TimedWord] | None, start: float, end: float
) -> list[SpokenSpan]:
    """Return the spans of words in a text that is visible from `start` to `end`, in seconds.

    Without words, the duration is distributed by word length. Words that are not in the text are skipped.
    """
    spans = _match_words(units, words) if words else _distribute(units, start, end)
    return list(_clamp_times(spans, start, end))


def _match_words(units: Sequence[TextUnit], words: Sequence[TimedWord]) -> Iterable[SpokenSpan]:
    """Search for each word after the previous one."""
    letters = [(index, unit.plain.casefold()) for index, unit in enumerate(units) if unit.plain and not unit.is_space]
    text = "".join(letter for _, letter in letters)
    unit_indexes = [index for index, letter in letters for _ in letter]
    run_starts = {first for first, _ in _word_runs(units)}
    position = 0
    for word in words:
        needle = "".join(word.text.split()).casefold()
        matches = _occurrences(text, needle, position) if needle else []
        # Prefer a match right after the previous word, then one at the start of a word: "a" must not match in "that".
        at_word_start = (match for match in matches if match == position or unit_indexes[match] in run_starts)
        match = next(at_word_start, min(matches, default=None))
        if match is not None:
            position = match + len(needle)
            yield SpokenSpan(unit_indexes[match], unit_indexes[position - 1] + 1, word.start, word.end)


def _occurrences(text: str, needle: str, position: int) -> list[int]:
    return [position + match.start() for match in re.finditer(re.escape(needle), text[position:])]


def _distribute(units: Sequence[TextUnit], start: float, end: float) -> Iterable[SpokenSpan]:
    runs = _word_runs(units)
    seconds_per_unit = (end - start) / max(1, sum(last - first for first, last in runs))
    time = start
    for first, last in runs:
        next_time = time + (last - first) * seconds_per_unit
        yield SpokenSpan(first, last, time, next_time)
        time = next_time


def _word_runs(units: Sequence[TextUnit]) -> list[tuple[int, int]]:
    """Return the ranges of units between spaces."""
    runs: list[tuple[int, int]] = []
    run_start: int | None = None
    for index, unit in enumerate(units):
        if unit.is_space or unit.forced_break:
            runs += [(run_start, index)] if run_start is not None else []
            run_start = None
        elif run_start is None and unit.plain:
            run_start = index
    return [*runs, (run_start, len(units))] if run_start is not None else runs


def _clamp_times(spans: Iterable[SpokenSpan], start: float, end: float) -> Iterable[SpokenSpan]:
    """Limit the spans to the visible time, and let each begin after the previous one."""
    position = start
    for span in spans:
        span_start = min(max(span.start, position), end)
        position = min(max(span.end, span_start), end)
        yield SpokenSpan(span.first, span.last, span_start, position)


def highlight_intervals(words: Sequence[SpokenSpan], start: float, end: float) -> list[tuple[float, float, int | None]]:
    """Return the intervals from `start` to `end`, each with the index of its highlighted word, or None."""
    intervals: list[tuple[float, float, int | None]] = []
    position = start
    for number, word in enumerate(words):
        next_start = words[number + 1].start if number + 1 < len(words) else end
        until = next_start if next_start - word.end <= _MAX_HOLD else word.end
        intervals += [(position, word.start, None), (word.start, until, number)]
        position = until
    intervals.append((position, end, None))
    # ASS has a resolution of 0.01 s; shorter intervals would be empty events.
    return [(a, b, number) for a, b, number in intervals if round(b * 100) > round(a * 100)]
