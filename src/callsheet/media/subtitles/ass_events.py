"""Events of an ASS script: their times and texts, also as captions without styles."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from callsheet.media.subtitles.caption_markup import alignment_tag, plain_body
from callsheet.media.subtitles.subtitle_parsers import ParsedCaption

SECTION = re.compile(r"^\s*\[(?P<name>[^\]]*)\]\s*$")
_ENTRY = re.compile(r"^\s*(?P<kind>Format|Dialogue)\s*:(?P<fields>.*)$", re.IGNORECASE)
_TIMESTAMP = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9}(?:\.\d{1,9})?)")
_DEFAULT_FORMAT = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_BRACES = re.compile(r"\{([^{}]*+)\}")
_DRAWING = re.compile(r"\\p[1-9]")
_FIRST_TOP = 7
"""The alignments 7, 8 and 9 are at the top, as the keys of a numeric keypad."""


@dataclass(frozen=True, slots=True)
class AssEvent:
    """A line that is shown for some time, in seconds. `text` has override tags."""

    start: float
    end: float
    text: str


def read_events(lines: Sequence[str]) -> Iterator[AssEvent]:
    """Yield the events of a script. The preceding `Format` line sets the order of the fields."""
    order: tuple[str, ...] = _DEFAULT_FORMAT
    for line in lines:
        if SECTION.match(line):
            order = _DEFAULT_FORMAT
        if (entry := _ENTRY.match(line)) is None:
            continue
        if entry["kind"].lower() == "format":
            order = tuple(field.strip().lower() for field in entry["fields"].split(","))
        elif (event := _read_event(order, entry["fields"])) is not None:
            yield event


def _read_event(order: Sequence[str], text: str) -> AssEvent | None:
    # The last field may have commas.
    values = dict(zip(order, map(str.strip, text.split(",", len(order) - 1)), strict=False))
    start, end = (_TIMESTAMP.fullmatch(values.get(name, "")) for name in ("start", "end"))
    if start is None or end is None:
        return None
    return AssEvent(_seconds(start), _seconds(end), values.get("text", ""))


def _seconds(timestamp: re.Match[str]) -> float:
    return int(timestamp[1]) * 3600 + int(timestamp[2]) * 60 + float(timestamp[3])


def event_captions(text: str) -> list[ParsedCaption]:
    """Return the events of a script as captions, sorted by time, without drawings.

    Italic, bold and underlined text stay, and whether an event is at the top.
    """
    found = []
    for event in read_events(text.split("\n")):
        body = _body(event.text)
        if body and event.end > event.start:
            at_top = (alignment_tag(event.text) or 0) >= _FIRST_TOP
            found.append(ParsedCaption(event.start, event.end, body, at_top))
    return sorted(found, key=lambda caption: caption.start)


def _body(text: str) -> str:
    """Return the text of an event with tags as in SRT. Empty for a drawing."""
    if any(_DRAWING.search(tags) for tags in _BRACES.findall(text)):
        return ""
    for code, shown in (("\\N", "\n"), ("\\n", "\n"), ("\\h", " ")):
        text = text.replace(code, shown)
    styled = plain_body(html.escape(text, quote=False))
    lines = (line.strip() for line in _BRACES.sub("", styled).split("\n"))
    return "\n".join(line for line in lines if line)
