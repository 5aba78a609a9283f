"""Sanitizer of ASS scripts from clients: styles and events are kept, embedded files are removed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.subtitle_text import read_subtitle_text

_SECTION = re.compile(r"^\s*\[(?P<name>[^\]]*)\]\s*$")
_ALLOWED_SECTIONS = {"script info", "v4 styles", "v4+ styles", "v4++ styles", "events"}
_ENTRY = re.compile(r"^\s*(?P<kind>Format|Dialogue)\s*:(?P<fields>.*)$", re.IGNORECASE)
_TIMESTAMP = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9}(?:\.\d{1,9})?)")
_DEFAULT_FORMAT = ("layer", "start", "end")
_MAX_EVENTS = 100_000
_MAX_LINE_LENGTH = 20_000
"""Characters of one line. Drawings make long lines."""


@dataclass(frozen=True, slots=True)
class SanitizedScript:
    """A client script that is safe for the renderer."""

    text: str
    shown: tuple[tuple[float, float], ...]
    """Start and end of each event, in seconds."""
    notes: tuple[str, ...] = ()
    """What was guessed, and what could not be read."""


def sanitize_ass(path: Path) -> SanitizedScript:
    """Return a script without embedded fonts, embedded images and editor sections.

    Raises BadSource if the script has no events or exceeds a size limit.
    """
    source = read_subtitle_text(path)
    lines = _allowed_lines(source.text.split("\n"))
    shown = tuple(_event_times(lines))
    if not shown:
        raise BadSource(f"'{path.name}' is an ASS script without events")
    if len(shown) > _MAX_EVENTS:
        raise BadSource(f"'{path.name}' has {len(shown)} events; the limit is {_MAX_EVENTS}")
    if any(len(line) > _MAX_LINE_LENGTH for line in lines):
        raise BadSource(f"'{path.name}' has a line of more than {_MAX_LINE_LENGTH} characters")
    return SanitizedScript("\n".join(lines), shown, source.notes)


def _allowed_lines(lines: list[str]) -> list[str]:
    allowed: list[str] = []
    in_allowed_section = False
    for line in lines:
        if (section := _SECTION.match(line)) is not None:
            in_allowed_section = section["name"].strip().lower() in _ALLOWED_SECTIONS
        if in_allowed_section:
            allowed.append(line)
    return allowed


def _event_times(lines: list[str]) -> Iterator[tuple[float, float]]:
    """Yield start and end of each event. The preceding `Format` line sets the order of the fields."""
    order: tuple[str, ...] = _DEFAULT_FORMAT
    for line in lines:
        if _SECTION.match(line):
            order = _DEFAULT_FORMAT
        if (entry := _ENTRY.match(line)) is None:
            continue
        fields = [field.strip() for field in entry["fields"].split(",")]
        if entry["kind"].lower() == "format":
            order = tuple(field.lower() for field in fields)
        elif "start" in order and "end" in order and len(fields) >= len(order):
            times = [_TIMESTAMP.fullmatch(fields[order.index(name)]) for name in ("start", "end")]
            if times[0] is not None and times[1] is not None:
                yield _seconds(times[0]), _seconds(times[1])


def _seconds(timestamp: re.Match[str]) -> float:
    return int(timestamp[1]) * 3600 + int(timestamp[2]) * 60 + float(timestamp[3])
