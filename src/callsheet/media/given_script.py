"""ASS scripts that were given: their look is kept, what is foreign in them is left out."""

import re
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles import decoded

_SECTION = re.compile(r"^\s*\[(?P<name>[^\]]*)\]\s*$")
_KEPT = {"script info", "v4 styles", "v4+ styles", "v4++ styles", "events"}
_EVENT = re.compile(r"^\s*Dialogue\s*:\s*[^,]*,\s*(\d+):(\d+):(\d+(?:\.\d+)?)\s*,\s*(\d+):(\d+):(\d+(?:\.\d+)?)\s*,")
_MOST_EVENTS = 100_000
_MOST_LETTERS = 20_000
"""Of one line: drawings are long."""


@dataclass(frozen=True, slots=True)
class CleanScript:
    """A given script as it may be handed to the renderer."""

    text: str
    shown: tuple[tuple[float, float], ...]
    """The times at which it shows something."""


def read_script(path: Path) -> CleanScript:
    """Return a script without the fonts, pictures and notes of editors that it may carry.

    Raises BadSource when it shows nothing, or is too large.
    """
    lines = _kept(decoded(path).split("\n"))
    shown = tuple(
        (_seconds(*match.groups()[:3]), _seconds(*match.groups()[3:]))
        for line in lines
        if (match := _EVENT.match(line)) is not None
    )
    if not shown:
        raise BadSource(f"'{path.name}' is an ASS script without a line of text")
    if len(shown) > _MOST_EVENTS:
        raise BadSource(f"'{path.name}' holds {len(shown)} lines; {_MOST_EVENTS} are the most")
    if any(len(line) > _MOST_LETTERS for line in lines):
        raise BadSource(f"'{path.name}' holds a line of more than {_MOST_LETTERS} letters")
    return CleanScript("\n".join(lines), shown)


def _kept(lines: list[str]) -> list[str]:
    kept: list[str] = []
    keeping = False
    for line in lines:
        if (section := _SECTION.match(line)) is not None:
            keeping = section["name"].strip().lower() in _KEPT
        if keeping:
            kept.append(line)
    return kept


def _seconds(hours: str, minutes: str, seconds: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
