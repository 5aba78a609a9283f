"""ASS scripts that were given: their look is kept, what is foreign in them is left out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.subtitle_parsers import decoded

_SECTION = re.compile(r"^\s*\[(?P<name>[^\]]*)\]\s*$")
_KEPT = {"script info", "v4 styles", "v4+ styles", "v4++ styles", "events"}
_ENTRY = re.compile(r"^\s*(?P<kind>Format|Dialogue)\s*:(?P<fields>.*)$", re.IGNORECASE)
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_USUAL_ORDER = ("layer", "start", "end")
_MOST_EVENTS = 100_000
_MOST_LETTERS = 20_000
"""Of one line: drawings are long."""


@dataclass(frozen=True, slots=True)
class SanitizedScript:
    """A given script as it may be handed to the renderer."""

    text: str
    shown: tuple[tuple[float, float], ...]
    """The times at which it shows something."""


def sanitize_ass(path: Path) -> SanitizedScript:
    """Return a script without the fonts, pictures and notes of editors that it may carry.

    Raises BadSource when it shows nothing, or is too large.
    """
    lines = _kept(decoded(path).split("\n"))
    shown = tuple(_shown(lines))
    if not shown:
        raise BadSource(f"'{path.name}' is an ASS script without a line of text")
    if len(shown) > _MOST_EVENTS:
        raise BadSource(f"'{path.name}' holds {len(shown)} lines; {_MOST_EVENTS} are the most")
    if any(len(line) > _MOST_LETTERS for line in lines):
        raise BadSource(f"'{path.name}' holds a line of more than {_MOST_LETTERS} letters")
    return SanitizedScript("\n".join(lines), shown)


def _kept(lines: list[str]) -> list[str]:
    kept: list[str] = []
    keeping = False
    for line in lines:
        if (section := _SECTION.match(line)) is not None:
            keeping = section["name"].strip().lower() in _KEPT
        if keeping:
            kept.append(line)
    return kept


def _shown(lines: list[str]) -> Iterator[tuple[float, float]]:
    """Yield the times of events; the line `Format` before them says in which order their fields stand."""
    order: tuple[str, ...] = _USUAL_ORDER
    for line in lines:
        if _SECTION.match(line):
            order = _USUAL_ORDER
        if (entry := _ENTRY.match(line)) is None:
            continue
        fields = [field.strip() for field in entry["fields"].split(",")]
        if entry["kind"].lower() == "format":
            order = tuple(field.lower() for field in fields)
        elif "start" in order and "end" in order and len(fields) >= len(order):
            times = [_CLOCK.fullmatch(fields[order.index(name)]) for name in ("start", "end")]
            if times[0] is not None and times[1] is not None:
                yield _seconds(times[0]), _seconds(times[1])


def _seconds(clock: re.Match[str]) -> float:
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
