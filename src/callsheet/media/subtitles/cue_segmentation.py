"""Words with their times, cut into captions that can be read."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.line_breaks import Unit, join, lay_lines, lines_needed, tears, units_of

_SPLIT = 2.0
"""Seconds of silence that always end a caption."""
_PAUSE = 0.4
"""Seconds of silence that are heard as a pause."""
_BRIDGED = 0.5
"""A shorter gap between captions would only flicker."""
_BETWEEN = 0.08
"""Seconds between captions that follow each other at once: two frames, by which the eye sees the change."""
_CLOSING = 12
"""Width of an end of a sentence that must not be left over."""
_LEAST = 0.02
"""Seconds of a word, so that nothing comes at the same time as the next."""


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """How captions are to be read."""

    characters: int = 42
    """At most on a line; full-width ones count as two. A longer word has a line of its own."""
    lines: int = 2
    least: float = 1.0
    """Seconds that a caption stays at least, where the next leaves the time."""
    most: float = 7.0
    """Seconds that a caption stays at most."""
    speed: float = 17.0
    """Characters per second that people read."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption."""

    start: float
    end: float
    lines: tuple[tuple[Word, ...], ...]

    @property
    def text(self) -> str:
        """Its lines, with line feeds between them."""
        return "\n".join(join(line) for line in self.lines)


def segment_cues(words: Sequence[Word], reading: ReadingLimits, *, until: float | None = None) -> list[Cue]:
    """Return captions that hold every word once and in order, none of which overlap.

    They end where sentences, clauses or breaths end, as far as the limits allow. None stays on after `until`, the end
    of the film.
    """
    units = units_of(_in_order(words))
    cues = [units[start:end] for start, end in _Segmenter(units, reading).best()]
    following = [*(cue[0].start for cue in cues[1:]), None]
    return [
        Cue(cue[0].start, _end(cue, reading, after, until), tuple(lay_lines(cue, reading.characters)))
        for cue, after in zip(cues, following, strict=False)
    ]


def _in_order(words: Iterable[Word]) -> Iterator[Word]:
    """Mend times that engines get wrong: each word begins after the one before it, and ends before the next."""
    previous: Word | None = None
    for word in words:
        earliest = previous.start + _LEAST if previous else 0.0
        word = replace(word, start=round(max(word.start, earliest), 3))
        if previous is not None:
            yield replace(previous, end=min(max(previous.end, previous.start + _LEAST), word.start))
        previous = word
    if previous is not None:
        yield replace(previous, end=max(previous.end, previous.start + _LEAST))


class _Segmenter:
    """Finds the captions that cost least in all."""

    def __init__(self, units: Sequence[Unit], reading: ReadingLimits) -> None:
        self._units = units
        self._reading = reading
        self._silence = [0.0, *(after.start - before.end for before, after in itertools.pairwise(units))]
        self._width = _sums(unit.width + unit.apart for unit in units)
        self._pauses = _sums(silence > _PAUSE for silence in self._silence)
        self._sentences = _sums(unit.ends_sentence for unit in units)

    def best(self) -> list[tuple[int, int]]:
        """Return each caption by its first unit and the one after its last."""
        count = len(self._units)
        least = [0.0] + [math.inf] * count
        origin = [0] * (count + 1)
        for start in range(count):
            for end in self._possible_ends(start):
                cost = least[start] + self._cost(start, end)
                if cost < least[end]:
                    least[end], origin[end] = cost, start
        cuts: list[tuple[int, int]] = []
        while count:
            cuts.append((origin[count], count))
            count = origin[count]
        return cuts[::-1]

    def _possible_ends(self, start: int) -> Iterator[int]:
        units, most = self._units, self._reading.most
        counts = lines_needed((units[number] for number in range(start, len(units))), self._reading.characters)
        for end, lines in enumerate(counts, start + 1):
            alone = end == start + 1
            if not alone and (lines > self._reading.lines or units[end - 1].end - units[start].start > most):
                return
            yield end
            if end < len(units) and self._silence[end] >= _SPLIT:
                return

    def _cost(self, start: int, end: int) -> float:
        """Return how bad a caption is; that it is one more counts, too."""
        time = self._reading.most
        if end < len(self._units):
            time = min(time, self._units[end].start - self._units[start].start)
        size = self._width[end] - self._width[start]
        hurried = max(0.0, size / self._reading.speed - time) + 4 * max(0.0, self._reading.least - time)
        spoiled = self._pauses[end] - self._pauses[start + 1]
        sentences = self._sentences[end - 1] - self._sentences[start]
        around = self._cost_of_ending(end) + self._cost_of_orphan(start, end)
        return 6 + 3 * hurried + 3 * spoiled + 2 * sentences + around

    def _cost_of_ending(self, end: int) -> float:
        if end == len(self._units) or self._units[end - 1].ends_sentence:
            return 0
        pause = self._silence[end]
        if pause >= _PAUSE:
            return 1
        if self._units[end - 1].ends_clause:
            return 3
        torn = tears(self._units[end - 1], self._units[end])
        return 10 - 10 * pause + 5 * torn + 5 * self._closes(end)

    def _closes(self, at: int) -> bool:
        """Tell whether only short words are left of the sentence."""
        left = itertools.takewhile(
            lambda end: self._width[end] - self._width[at] <= _CLOSING, range(at + 1, len(self._width))
        )
        return any(self._units[end - 1].ends_sentence for end in left)

    def _cost_of_orphan(self, start: int, end: int) -> float:
        """A single word is a caption only where it is said on its own."""
        if end - start > 1:
            return 0
        alone = self._units[start].ends_sentence
        joins = start > 0 and not self._units[start - 1].ends_sentence and self._silence[start] < _SPLIT
        leads = end < len(self._units) and not alone and self._silence[end] < _SPLIT
        return 8 * (joins + leads)


def _sums(values: Iterable[float]) -> list[float]:
    return [0, *itertools.accumulate(values)]


def _end(units: Sequence[Unit], reading: ReadingLimits, after: float | None, until: float | None) -> float:
    """Return when a caption goes: once it can have been read, if the next leaves the time."""
    start = units[0].start
    size = sum(unit.width + unit.apart for unit in units)
    end = min(max(units[-1].end, start + reading.least, start + size / reading.speed), start + reading.most)
    if until is not None:
        end = min(end, max(until, start + _LEAST))
    if after is not None and end > after - _BRIDGED:
        longest = min(after, start + reading.most)
        end = min(longest, max(after - _BETWEEN, start + min(reading.least, longest - start)))
    return round(max(end, start + _LEAST), 3)
