"""The output of a trainer: its lines, its progress bar, and the excerpts that are kept."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from callsheet.domain.plain_text import plain_text

_BAR = re.compile(
    r"^(?P<label>[^|%]{0,100}?):?\s{0,9}(?P<percent>[0-9]{1,3})%\|[^|]*\|\s{0,9}(?P<done>[0-9]{1,9})/(?P<total>[0-9]{1,9})"
    r"\s\[(?P<elapsed>[0-9:]{1,12})<(?P<left>[0-9:]{1,12}|\?)(?P<rest>.*)\]$"
)
"""A line of tqdm: `steps:  12%|█▏  | 12/100 [00:06<00:44,  2.0it/s, avr_loss=0.123]`."""
_LOSS = re.compile(
    r"\b(?:avr_loss|avg_loss|loss)=(?P<loss>[0-9]{1,12}(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,3})?|nan|inf)\b"
)
_EPOCH = re.compile(r"^Epoch (?P<epoch>[0-9]{1,9})/(?P<epochs>[0-9]{1,9})$")
_MAX_LINE = 500
_MAX_UNFINISHED = 16_384


@dataclass(frozen=True, slots=True)
class Bar:
    """One state of a progress bar."""

    label: str
    done: int
    total: int
    seconds_left: int | None
    """Seconds until its end, as the trainer estimates."""
    loss: float | None
    epoch: tuple[int, int] | None = None
    """Number of the epoch, from 1, and number of epochs, if the label names them."""


def read_bar(line: str) -> Bar | None:
    """Return the progress bar in a line; None for any other line."""
    match = _BAR.match(line)
    if match is None or int(match["total"]) == 0:
        return None
    label = match["label"].strip()
    loss = _LOSS.search(match["rest"])
    epoch = _EPOCH.match(label)
    return Bar(
        label,
        min(int(match["done"]), int(match["total"])),
        int(match["total"]),
        None if match["left"] == "?" else _seconds(match["left"]),
        float(loss["loss"]) if loss else None,
        (int(epoch["epoch"]), int(epoch["epochs"])) if epoch else None,
    )


def _seconds(text: str) -> int:
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part or 0)
    return seconds


class LineSplitter:
    """Splits bytes into lines. Progress bars rewrite their line with carriage returns: each state is a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the lines that are complete now, without control characters, shortened to 500 characters."""
        *lines, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[-_MAX_UNFINISHED:]
        yield from filter(None, map(_clean, lines))

    def end(self) -> Iterator[str]:
        """Yield the last line, if no line feed ended it."""
        yield from filter(None, [_clean(self._rest)])
        self._rest = b""


def _clean(line: bytes) -> str:
    return plain_text(line.decode("utf-8", "replace")).strip()[:_MAX_LINE]


class Excerpts:
    """The first and the last lines of an output, without progress bars."""

    def __init__(self, *, first: int = 20, last: int = 60) -> None:
        self._first: list[str] = []
        self._max_first = first
        self._last: deque[str] = deque(maxlen=last)
        self._dropped = 0

    def add(self, line: str) -> None:
        """Add a line."""
        if len(self._first) < self._max_first:
            self._first.append(line)
            return
        self._dropped += len(self._last) == self._last.maxlen
        self._last.append(line)

    @property
    def last(self) -> list[str]:
        """The newest lines, at most 12."""
        return [*self._first, *self._last][-12:]

    @property
    def lines(self) -> list[str]:
        """The kept lines; one of them says how many are left out."""
        gap = [f"… {self._dropped} lines …"] if self._dropped else []
        return [*self._first, *gap, *self._last]
