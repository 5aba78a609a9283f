"""Sanitizer of ASS scripts from clients: styles and events are kept, embedded files are removed."""

from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.ass_events import SECTION, read_events
from callsheet.media.subtitles.subtitle_text import read_subtitle_text

_ALLOWED_SECTIONS = {"script info", "v4 styles", "v4+ styles", "v4++ styles", "events"}
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
    shown = tuple((event.start, event.end) for event in read_events(lines))
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
        if (section := SECTION.match(line)) is not None:
            in_allowed_section = section["name"].strip().lower() in _ALLOWED_SECTIONS
        if in_allowed_section:
            allowed.append(line)
    return allowed
