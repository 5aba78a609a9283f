"""Parsers of SRT and WebVTT captions."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.ass import escape_text
from callsheet.media.subtitles.spoken import SpokenText
from callsheet.media.subtitles.subtitle_text import read_subtitle_text

MAX_CAPTIONS = 20_000
MAX_CAPTION_LENGTH = 2_000
"""Characters of one caption."""

_TIME = r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"^\s*{_TIME}\s*--?>\s*{_TIME}")
_INLINE_TIMESTAMP = re.compile(rf"<{_TIME}>")
_TAG = re.compile(r"<(/?)([a-zA-Z]*+)[^<>]*+>")
_RUBY_TEXT = re.compile(r"<rt\b[^<>]*+>.*?(?:</rt>|(?=</ruby>)|$)", re.DOTALL | re.IGNORECASE)
_ASS_OVERRIDE = re.compile(r"\{\\[^{}]*+\}")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption. `text` is ASS text, `start` and `end` are in seconds."""

    start: float
    end: float
    text: str
    words: tuple[SpokenText, ...] | None = None
    """Word times; None if the file has none."""


def is_ass(path: Path) -> bool:
    """Return whether the content of a file is an ASS or SSA script."""
    with path.open("rb") as file:
        head = file.read(2048).replace(b"\0", b"")
    return b"[script info]" in head.lower().lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")[:1024]


def read_captions(path: Path, uppercase: bool = False) -> list[Caption]:
    """Return the captions of an SRT or WebVTT file, sorted by time. `uppercase` converts the text to capitals.

    A WebVTT file may be empty, as for a video without speech.

    Raises BadSource if another file has no captions, or a size limit is exceeded.
    """
    text = read_subtitle_text(path).replace("\0", "")
    captions = sorted(_parse_captions(text, uppercase), key=lambda caption: caption.start)
    if not captions and not _is_webvtt(text):
        raise BadSource(f"'{path.name}' contains no captions; supported formats: SRT, WebVTT, ASS")
    if len(captions) > MAX_CAPTIONS:
        raise BadSource(f"'{path.name}' has {len(captions)} captions; the limit is {MAX_CAPTIONS}")
    # Escapes make the ASS text longer than the caption.
    if any(len(caption.text) > 4 * MAX_CAPTION_LENGTH for caption in captions):
        raise BadSource(f"'{path.name}' has a caption of more than {MAX_CAPTION_LENGTH} characters")
    return captions


def _parse_captions(text: str, uppercase: bool) -> Iterator[Caption]:
    webvtt = _is_webvtt(text)
    lines = text.split("\n")
    timings = [(at, match) for at, line in enumerate(lines) if "->" in line and (match := _TIMING.match(line))]
    for (at, match), (next_at, _) in pairwise([*timings, (len(lines) + 1, None)]):
        assert match is not None  # noqa: S101 - only the sentinel at the end has none
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        body = _caption_body(lines[at + 1 : next_at], webvtt, last=next_at > len(lines))
        if body and end > start:
            yield _caption(body, start, end, uppercase)


def _is_webvtt(text: str) -> bool:
    return text.lstrip().startswith("WEBVTT")


def _caption_body(lines: list[str], webvtt: bool, *, last: bool) -> str:
    """Return the text between two timing lines, without the number or identifier of the next caption."""
    lines = [_SPACES.sub(" ", line).strip() for line in lines]
    if not last and lines and (lines[-1].isdigit() or webvtt):
        lines.pop()
    if webvtt:
        # A blank line ends a WebVTT caption. Comments and style blocks may follow.
        lines = lines[: lines.index("")] if "" in lines else lines
    return "\n".join(line for line in lines if line)


def _caption(body: str, start: float, end: float, uppercase: bool) -> Caption:
    body = _ASS_OVERRIDE.sub("", _RUBY_TEXT.sub("", body))
    text = _convert_markup(_INLINE_TIMESTAMP.sub("", body), uppercase)
    return Caption(start, end, text, _timed_words(body, start, end))


def _timed_words(body: str, start: float, end: float) -> tuple[SpokenText, ...] | None:
    """Return the words between the inline timestamps of a WebVTT caption."""
    timestamps = list(_INLINE_TIMESTAMP.finditer(body))
    if not timestamps:
        return None
    times = [start, *(min(max(_seconds(match.groups()), start), end) for match in timestamps), end]
    edges = [0, *(edge for match in timestamps for edge in match.span()), len(body)]
    texts = [html.unescape(_TAG.sub("", body[a:b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return tuple(SpokenText(text, a, b) for text, (a, b) in zip(texts, pairwise(times), strict=True) if text.strip())


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")


def _convert_markup(text: str, uppercase: bool) -> str:
    """Convert italic, bold and underline tags to ASS, remove other tags, and escape the rest."""
    parts: list[str] = []
    end = 0
    for tag in _TAG.finditer(text):
        parts.append(_escape(text[end : tag.start()], uppercase))
        if (name := tag[2].lower()) in {"i", "b", "u"}:
            parts.append(f"{{\\{name}{0 if tag[1] else 1}}}")
        end = tag.end()
    return "".join([*parts, _escape(text[end:], uppercase)])


def _escape(text: str, uppercase: bool) -> str:
    plain = html.unescape(text)
    return escape_text(plain.upper() if uppercase else plain)
