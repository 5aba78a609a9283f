"""Captions read from SRT and WebVTT files."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import BadSource
from callsheet.media.ass import literal

_MOST_BYTES = 16 * 2**20
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_TAG = re.compile(r"<(/?)([a-zA-Z]?)[^>]*>")
_OVERRIDE = re.compile(r"\{\\[^}]*\}")


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption, with its text as ASS."""

    start: float
    end: float
    text: str


def is_ass(path: Path) -> bool:
    """Tell whether a file is an ASS or SSA script, by its contents."""
    with path.open("rb") as file:
        return file.read(1024).lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(b"[script info]")


def read_captions(path: Path, uppercase: bool = False) -> list[Caption]:
    """Return the captions of an SRT or WebVTT file by their times, in capitals if so wished.

    Raises BadSource when there are none, or the file is too large to be captions.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise BadSource(f"'{path.name}' is too large to be captions")
    captions = sorted(_captions(_text(path.read_bytes()), uppercase), key=lambda caption: caption.start)
    if not captions:
        raise BadSource(f"'{path.name}' holds no captions; SRT, WebVTT and ASS are known")
    return captions


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _captions(text: str, uppercase: bool) -> Iterator[Caption]:
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        at = next((n for n, line in enumerate(lines[:3]) if _TIMING.match(line)), None)
        if at is None:
            continue
        match = _TIMING.match(lines[at])
        assert match is not None  # noqa: S101 - found just above
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        words = "\n".join(line.strip() for line in lines[at + 1 :]).strip()
        if words and end > start:
            yield Caption(start, end, _marked_up(words, uppercase))


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction}")


def _marked_up(words: str, uppercase: bool) -> str:
    """Keep italics, bold and underline; take out every other tag, and the commands of other formats."""
    pieces: list[str] = []
    end = 0
    words = _OVERRIDE.sub("", words)
    for tag in _TAG.finditer(words):
        pieces.append(_plain(words[end : tag.start()], uppercase))
        if (name := tag[2].lower()) in {"i", "b", "u"}:
            pieces.append(f"{{\\{name}{0 if tag[1] else 1}}}")
        end = tag.end()
    return "".join([*pieces, _plain(words[end:], uppercase)])


def _plain(words: str, uppercase: bool) -> str:
    text = html.unescape(words)
    return literal(text.upper() if uppercase else text)
