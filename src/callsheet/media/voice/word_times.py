"""The words of a spoken text, and their times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

from callsheet.media.speech.contract import Word

Timing = Literal["engine", "aligned", "estimated"]
"""Where times of words come from: the engine's own durations; a recognition of the audio; or an estimate by length."""

# Chinese, Japanese, Thai, Lao, Burmese and Khmer have no spaces between words.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]\W*"
    r"|[^\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with the punctuation beside it."""

    text: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""


def split_words(text: str) -> list[str]:
    """Return the words of a text. In scripts without spaces, each character is a word."""
    return [word.strip() for word in _WORD.findall(text) if any(map(str.isalnum, word))]


def estimate_times(text: str, start: float, end: float) -> list[TimedWord]:
    """Return the words of a text that is spoken from `start` to `end`, each as long as its share of the characters."""
    words = split_words(text)
    lengths = [len(word) + 1 for word in words]
    at, seconds = start, (end - start) / max(1, sum(lengths))
    timed = []
    for word, length in zip(words, lengths, strict=True):
        timed.append(TimedWord(word, at, at + length * seconds))
        at += length * seconds
    return timed


def align(estimated: Sequence[TimedWord], recognized: Sequence[Word]) -> list[TimedWord] | None:
    """Return the words with the times at which they were recognized. None if fewer than half of them were.

    A word that was not recognized keeps its share of the time between its neighbours.
    """
    known, found = [_key(word.text) for word in estimated], [_key(word.text) for word in recognized]
    times: list[tuple[float, float] | None] = [None] * len(known)
    for block in SequenceMatcher(None, known, found, autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            word = recognized[block.b + offset]
            times[block.a + offset] = (word.start, word.end)
    if sum(time is not None for time in times) < len(times) / 2:
        return None
    return _fill_gaps(estimated, times)


def _fill_gaps(words: Sequence[TimedWord], times: Sequence[tuple[float, float] | None]) -> list[TimedWord]:
    timed: list[TimedWord] = []
    place = 0
    while place < len(words):
        if (known := times[place]) is not None:
            timed.append(replace(words[place], start=known[0], end=known[1]))
            place += 1
            continue
        stop = next((later for later in range(place, len(words)) if times[later] is not None), len(words))
        after = times[stop] if stop < len(words) else None
        low = timed[-1].end if timed else words[place].start
        high = max(low, after[0] if after is not None else words[stop - 1].end)
        first, last = words[place].start, words[stop - 1].end
        scale = (high - low) / (last - first) if last > first else 0.0
        for word in words[place:stop]:
            timed.append(replace(word, start=low + (word.start - first) * scale, end=low + (word.end - first) * scale))
        place = stop
    return timed


def _key(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
