"""Parser of SRT and WebVTT captions, as people have them: without numbers, blank lines or hours, or out of order."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.caption_markup import alignment_tag, ass_text, plain_body, seconds, timed_words
from callsheet.media.subtitles.spoken import SpokenText
from callsheet.media.subtitles.subtitle_text import SubtitleText, read_subtitle_text

MAX_CAPTIONS = 20_000
MAX_CAPTION_LENGTH = 2_000
"""Characters of one caption."""

_TIME = r"(-?)\s?(?:(\d{1,6})\s?:\s?)?(\d{1,2})\s?:\s?(\d{1,2})(?:\s?[.,]\s?(\d{1,3})\d{0,6}|:(\d{3}))?"
_TIMING = re.compile(rf"^\s*{_TIME}\s*[-–—]{{1,3}}>\s*{_TIME}(?!\d)(.*)$")
_LINE_SETTING = re.compile(r"\bline:(-?)(\d{1,4})(?:\.\d{0,9})?(%?)")
_MIDDLE = 50
"""Percent of the height. The line of a WebVTT caption above it places the caption at the top."""
_SPACES = re.compile(r"[ \t\u00a0]+")


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption. `text` is ASS text, `start` and `end` are in seconds."""

    start: float
    end: float
    text: str
    words: tuple[SpokenText, ...] | None = None
    """Word times; None if the file has none."""
    at_top: bool = False
    """Whether the file places it at the top of the frame."""


@dataclass(frozen=True, slots=True)
class ParsedCaption:
    """One caption with the tags of its file. `start` and `end` are in seconds."""

    start: float
    end: float
    body: str
    at_top: bool = False


@dataclass(frozen=True, slots=True)
class ParsedCaptions:
    """The captions of a file, sorted by time."""

    captions: tuple[ParsedCaption, ...]
    notes: tuple[str, ...]
    """What was guessed, and what could not be used."""


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """The captions of a file as ASS text, sorted by time."""

    captions: list[Caption]
    notes: tuple[str, ...]
    """What was guessed, and what could not be used."""


def is_ass(path: Path) -> bool:
    """Return whether the content of a file is an ASS or SSA script. Raises as `read_subtitle_text` does."""
    return read_subtitle_text(path).kind == "ass"


def read_captions(path: Path, uppercase: bool = False) -> CaptionFile:
    """Return the captions of an SRT or WebVTT file. `uppercase` converts the text to capitals.

    Raises BadSource as `parse_captions` does.
    """
    parsed = parse_captions(read_subtitle_text(path), path.name)
    return CaptionFile([_caption(each, uppercase) for each in parsed.captions], parsed.notes)


def _caption(parsed: ParsedCaption, uppercase: bool) -> Caption:
    words = timed_words(parsed.body, parsed.start, parsed.end)
    return Caption(parsed.start, parsed.end, ass_text(parsed.body, uppercase), words, parsed.at_top)


def parse_captions(source: SubtitleText, name: str) -> ParsedCaptions:
    """Return the captions of a file called `name`. A WebVTT file may be empty, as for a video without speech.

    Raises BadSource if another file has no captions, or a size limit is exceeded.
    """
    found = list(_parse(source.text, webvtt=source.kind == "webvtt"))
    captions = sorted((each for each in found if each.end > each.start), key=lambda caption: caption.start)
    if not captions and source.kind != "webvtt":
        raise BadSource(f"'{name}' contains no captions; supported formats: SRT, WebVTT, ASS")
    if len(captions) > MAX_CAPTIONS:
        raise BadSource(f"'{name}' has {len(captions)} captions; the limit is {MAX_CAPTIONS}")
    # Entities make the text longer than what is seen.
    if any(len(caption.body) > 4 * MAX_CAPTION_LENGTH for caption in captions):
        raise BadSource(f"'{name}' has a caption of more than {MAX_CAPTION_LENGTH} characters")
    notes = list(source.notes)
    if unusable := len(found) - len(captions):
        notes.append(f"{unusable} of {len(found)} captions of '{name}' end before they start, and were left out")
    return ParsedCaptions(tuple(captions), tuple(notes))


def late_notes(starts: Sequence[float], end: float) -> list[str]:
    """Return a note on the captions that start after the end of the video. Times are in seconds."""
    late = sum(start >= end for start in starts)
    return [f"{late} of {len(starts)} captions start after the end of the video"] if late else []


def _parse(text: str, *, webvtt: bool) -> Iterator[ParsedCaption]:
    """Yield the captions with text in the order of the file."""
    lines = text.split("\n")
    timings = [(at, match) for at, line in enumerate(lines) if ">" in line and (match := _TIMING.match(line))]
    numbered = 2 * sum(at > 0 and _is_number(lines[at - 1]) for at, _ in timings) > len(timings)
    ends = [*(at for at, _ in timings[1:]), None]
    for number, ((at, match), end_at) in enumerate(zip(timings, ends, strict=False), 1):
        following = None if end_at is None else str(number + 1)
        raw = _body(lines[at + 1 : end_at], following, webvtt=webvtt, numbered=numbered)
        if body := plain_body(raw).strip():
            start, end = (_signed_seconds(match.groups()[first : first + 6]) for first in (0, 6))
            yield ParsedCaption(max(0.0, start), end, body, _is_at_top(raw, match[13]))


def _is_number(line: str) -> bool:
    return line.strip().isdecimal()


def _signed_seconds(parts: tuple[str | None, ...]) -> float:
    sign, hours, minutes, whole, fraction, milliseconds = parts
    time = seconds((hours, minutes, whole, fraction or milliseconds))
    return -time if sign else time


def _body(lines: list[str], following: str | None, *, webvtt: bool, numbered: bool) -> str:
    """Return the text between two lines of times, without the number or identifier of the next caption.

    `following` is the number that the next caption should have; None for the last one.
    """
    spaced = bool(lines) and lines[0].isspace()
    lines = [_SPACES.sub(" ", line).strip() for line in lines]
    if following is not None and lines and _is_number(lines[-1]):
        after_blank = len(lines) > 1 and lines[-2] == ""
        if numbered or after_blank or lines[-1] == following:
            lines.pop()
    if webvtt:
        # A blank line ends a WebVTT caption. Comments, style blocks and the next identifier may follow. The captions of
        # YouTube begin with a line of one space, which is not blank.
        lines = lines[next((at for at, line in enumerate(lines) if line), 0) if spaced else 0 :]
        lines = [*takewhile(bool, lines)]
    return "\n".join(line for line in lines if line)


def _is_at_top(body: str, settings: str) -> bool:
    """Return whether an override tag, or the settings after the times of a WebVTT caption, place it at the top."""
    alignment = alignment_tag(body)
    if alignment is not None:
        return alignment >= 7
    line = _LINE_SETTING.search(settings)
    if line is None or line[1]:
        return False
    return int(line[2]) < (_MIDDLE if line[3] else 5)
