"""Captions read from SRT and WebVTT files."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.ass import literal
from callsheet.media.subtitles.spoken import SpokenText

MOST_BYTES = 16 * 2**20
MOST_CAPTIONS = 20_000
MOST_LETTERS = 2_000
"""Of one caption."""

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"^\s*{_TIME}\s*--?>\s*{_TIME}")
_STAMP = re.compile(rf"<{_TIME}>")
_TAG = re.compile(r"<(/?)([a-zA-Z]*)[^>]*>")
_RUBY = re.compile(r"<rt\b[^>]*>.*?(?:</rt>|(?=</ruby>)|$)", re.DOTALL | re.IGNORECASE)
_OVERRIDE = re.compile(r"\{\\[^}]*\}")
_BLANK = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption, with its text as ASS."""

    start: float
    end: float
    text: str
    words: tuple[SpokenText, ...] | None = None
    """When its words are spoken, where the file says so."""


def is_ass(path: Path) -> bool:
    """Tell whether a file is an ASS or SSA script, by its contents."""
    with path.open("rb") as file:
        head = file.read(2048).replace(b"\0", b"")
    return b"[script info]" in head.lower().lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")[:1024]


def read_captions(path: Path, uppercase: bool = False) -> list[Caption]:
    """Return the captions of an SRT or WebVTT file by their times, in capitals if so wished.

    Of WebVTT there may be none, as for a film in which nobody speaks. Raises BadSource when there are none in another
    file, or it is too large to be captions.
    """
    text = decoded(path)
    captions = sorted(_captions(text, uppercase), key=lambda caption: caption.start)
    if not captions and not _is_webvtt(text):
        raise BadSource(f"'{path.name}' holds no captions; SRT, WebVTT and ASS are known")
    if len(captions) > MOST_CAPTIONS:
        raise BadSource(f"'{path.name}' holds {len(captions)} captions; {MOST_CAPTIONS} are the most")
    if any(len(caption.text) > 4 * MOST_LETTERS for caption in captions):
        raise BadSource(f"'{path.name}' holds a caption of more than {MOST_LETTERS} letters")
    return captions


def decoded(path: Path) -> str:
    """Return the text of a file of subtitles in any usual encoding, with plain line ends.

    Raises BadSource when it is too large.
    """
    if path.stat().st_size > MOST_BYTES:
        raise BadSource(f"'{path.name}' is too large to be captions")
    return _decoded(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _decoded(data: bytes) -> str:
    try:
        return data.decode(_encoding(data))
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _encoding(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in data[:2]:
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def _captions(text: str, uppercase: bool) -> Iterator[Caption]:
    strict = _is_webvtt(text)
    lines = text.split("\n")
    timings = [(at, match) for at, line in enumerate(lines) if "->" in line and (match := _TIMING.match(line))]
    for (at, match), (following, _) in pairwise([*timings, (len(lines) + 1, None)]):
        assert match is not None  # noqa: S101 - only the end has none
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        words = _body(lines[at + 1 : following], strict, last=following > len(lines))
        if words and end > start:
            yield _caption(words, start, end, uppercase)


def _is_webvtt(text: str) -> bool:
    return text.lstrip().startswith("WEBVTT")


def _body(lines: list[str], strict: bool, *, last: bool) -> str:
    """Return the text between two lines of times, without the number of the next caption."""
    lines = [_BLANK.sub(" ", line).strip() for line in lines]
    if not last and lines and (lines[-1].isdigit() or strict):
        lines.pop()
    if strict:
        # Remarks and styles may follow the blank line that ends a caption.
        lines = lines[: lines.index("")] if "" in lines else lines
    return "\n".join(line for line in lines if line)


def _caption(words: str, start: float, end: float, uppercase: bool) -> Caption:
    words = _OVERRIDE.sub("", _RUBY.sub("", words))
    return Caption(start, end, _marked_up(_STAMP.sub("", words), uppercase), _said(words, start, end))


def _said(words: str, start: float, end: float) -> tuple[SpokenText, ...] | None:
    """Return the words between the times that stand inside a caption of WebVTT."""
    stamps = list(_STAMP.finditer(words))
    if not stamps:
        return None
    times = [start, *(min(max(_seconds(stamp.groups()), start), end) for stamp in stamps), end]
    edges = [0, *(edge for stamp in stamps for edge in stamp.span()), len(words)]
    texts = [html.unescape(_TAG.sub("", words[a:b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return tuple(SpokenText(text, a, b) for text, (a, b) in zip(texts, pairwise(times), strict=True) if text.strip())


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")


def _marked_up(words: str, uppercase: bool) -> str:
    """Keep italics, bold and underline; take out every other tag, and the commands of other formats."""
    pieces: list[str] = []
    end = 0
    for tag in _TAG.finditer(words):
        pieces.append(_plain(words[end : tag.start()], uppercase))
        if (name := tag[2].lower()) in {"i", "b", "u"}:
            pieces.append(f"{{\\{name}{0 if tag[1] else 1}}}")
        end = tag.end()
    return "".join([*pieces, _plain(words[end:], uppercase)])


def _plain(words: str, uppercase: bool) -> str:
    text = html.unescape(words)
    return literal(text.upper() if uppercase else text)
