"""Segmentation of timed words into readable captions (cues)."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.line_breaks import (
    Unit,
    balance_lines,
    group_words,
    join_words,
    lines_needed,
    splits_phrase,
)

_MAX_SILENCE = 2.0
"""Seconds of silence that always end a caption."""
_PAUSE = 0.4
"""Seconds of silence that count as a pause in speech."""
_MIN_VISIBLE_GAP = 0.5
"""Shortest gap between captions, in seconds. A shorter gap would flicker, so it is closed to `_CUE_GAP`."""
_CUE_GAP = 0.08
"""Seconds between consecutive captions: two frames, by which the eye notices the change."""
_MIN_TAIL_WIDTH = 12
"""A break is penalized if it leaves at most this width, in columns, of a sentence to the next caption."""
_MIN_WORD_DURATION = 0.02
"""Seconds. It also separates the starts of two words."""


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Limits that keep captions readable."""

    max_chars_per_line: int = 42
    """Full-width characters count as two. A longer word has its own line."""
    max_lines: int = 2
    min_duration: float = 1.0
    """Minimum duration of a caption, in seconds, unless the next caption begins earlier."""
    max_duration: float = 7.0
    """Maximum duration of a caption, in seconds."""
    reading_speed: float = 17.0
    """Characters per second."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption. `start` and `end` are in seconds."""

    start: float
    end: float
    lines: tuple[tuple[Word, ...], ...]

    @property
    def text(self) -> str:
        """The lines, separated by line feeds."""
        return "\n".join(join_words(line) for line in self.lines)


def segment_cues(words: Sequence[Word], limits: ReadingLimits, *, until: float | None = None) -> list[Cue]:
    """Return captions without overlaps that contain every word once and in order.

    Captions end at sentences, clauses or pauses where the limits allow it. No caption ends after `until`, the end of
    the video in seconds.
    """
    units = group_words(_repair_times(words))
    cues = [units[start:end] for start, end in _Segmenter(units, limits).segment()]
    next_starts = [*(cue[0].start for cue in cues[1:]), None]
    return [
        Cue(
            cue[0].start,
            _cue_end(cue, limits, next_start, until),
            tuple(balance_lines(cue, limits.max_chars_per_line)),
        )
        for cue, next_start in zip(cues, next_starts, strict=False)
    ]


def _repair_times(words: Iterable[Word]) -> Iterator[Word]:
    """Repair inconsistent times of speech engines: words begin in order and do not overlap."""
    previous: Word | None = None
    for word in words:
        earliest = previous.start + _MIN_WORD_DURATION if previous else 0.0
        word = replace(word, start=round(max(word.start, earliest), 3))
        if previous is not None:
            yield replace(previous, end=min(max(previous.end, previous.start + _MIN_WORD_DURATION), word.start))
        previous = word
    if previous is not None:
        yield replace(previous, end=max(previous.end, previous.start + _MIN_WORD_DURATION))


class _Segmenter:
    """Finds the segmentation with the lowest total cost by dynamic programming."""

    def __init__(self, units: Sequence[Unit], limits: ReadingLimits) -> None:
        self._units = units
        self._limits = limits
        self._silence = [0.0, *(after.start - before.end for before, after in itertools.pairwise(units))]
        self._width = _prefix_sums(unit.width + unit.space_before for unit in units)
        self._pauses = _prefix_sums(silence > _PAUSE for silence in self._silence)
        self._sentences = _prefix_sums(unit.ends_sentence for unit in units)

    def segment(self) -> list[tuple[int, int]]:
        """Return the range of units of each caption; the end is exclusive."""
        count = len(self._units)
        lowest = [0.0] + [math.inf] * count
        origin = [0] * (count + 1)
        for start in range(count):
            for end in self._possible_ends(start):
                cost = lowest[start] + self._cost(start, end)
                if cost < lowest[end]:
                    lowest[end], origin[end] = cost, start
        ranges: list[tuple[int, int]] = []
        while count:
            ranges.append((origin[count], count))
            count = origin[count]
        return ranges[::-1]

    def _possible_ends(self, start: int) -> Iterator[int]:
        units, limits = self._units, self._limits
        counts = lines_needed((units[number] for number in range(start, len(units))), limits.max_chars_per_line)
        for end, lines in enumerate(counts, start + 1):
            single = end == start + 1
            too_long = units[end - 1].end - units[start].start > limits.max_duration
            if not single and (lines > limits.max_lines or too_long):
                return
            yield end
            if end < len(units) and self._silence[end] >= _MAX_SILENCE:
                return

    def _cost(self, start: int, end: int) -> float:
        """Return the cost of a caption. The constant part favors fewer captions."""
        time = self._limits.max_duration
        if end < len(self._units):
            time = min(time, self._units[end].start - self._units[start].start)
        width = self._width[end] - self._width[start]
        missing_time = max(0.0, width / self._limits.reading_speed - time)
        missing_time += 4 * max(0.0, self._limits.min_duration - time)
        inner_pauses = self._pauses[end] - self._pauses[start + 1]
        inner_sentences = self._sentences[end - 1] - self._sentences[start]
        edges = self._end_cost(end) + self._orphan_cost(start, end)
        return 6 + 3 * missing_time + 3 * inner_pauses + 2 * inner_sentences + edges

    def _end_cost(self, end: int) -> float:
        if end == len(self._units) or self._units[end - 1].ends_sentence:
            return 0
        pause = self._silence[end]
        if pause >= _PAUSE:
            return 1
        if self._units[end - 1].ends_clause:
            return 3
        split = splits_phrase(self._units[end - 1], self._units[end])
        return 10 - 10 * pause + 5 * split + 5 * self._leaves_short_tail(end)

    def _leaves_short_tail(self, index: int) -> bool:
        """Return whether only short words of the sentence follow."""
        tail_ends = itertools.takewhile(
            lambda end: self._width[end] - self._width[index] <= _MIN_TAIL_WIDTH, range(index + 1, len(self._width))
        )
        return any(self._units[end - 1].ends_sentence for end in tail_ends)

    def _orphan_cost(self, start: int, end: int) -> float:
        """Return the cost of a single word as a caption, unless it was spoken on its own."""
        if end - start > 1:
            return 0
        ends_sentence = self._units[start].ends_sentence
        follows = start > 0 and not self._units[start - 1].ends_sentence and self._silence[start] < _MAX_SILENCE
        continues = end < len(self._units) and not ends_sentence and self._silence[end] < _MAX_SILENCE
        return 8 * (follows + continues)


def _prefix_sums(values: Iterable[float]) -> list[float]:
    return [0, *itertools.accumulate(values)]


def _cue_end(units: Sequence[Unit], limits: ReadingLimits, next_start: float | None, until: float | None) -> float:
    """Return the end of a caption, in seconds: late enough to be read, if the next caption leaves the time."""
    start = units[0].start
    width = sum(unit.width + unit.space_before for unit in units)
    end = max(units[-1].end, start + limits.min_duration, start + width / limits.reading_speed)
    end = min(end, start + limits.max_duration)
    if until is not None:
        end = min(end, max(until, start + _MIN_WORD_DURATION))
    if next_start is not None and end > next_start - _MIN_VISIBLE_GAP:
        latest = min(next_start, start + limits.max_duration)
        end = min(latest, max(next_start - _CUE_GAP, start + min(limits.min_duration, latest - start)))
    return round(max(end, start + _MIN_WORD_DURATION), 3)
