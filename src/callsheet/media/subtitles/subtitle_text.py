"""Text of subtitle files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callsheet.domain.errors import BadSource
from callsheet.media.subtitles.encodings import DecodedText, decode_text

MAX_BYTES = 16 * 2**20
"""Size limit of a subtitle file."""

Kind = Literal["captions", "webvtt", "ass"]
"""`captions`: SRT, or a similar format without a header."""


@dataclass(frozen=True, slots=True)
class SubtitleText:
    """The text of a subtitle file, with `\\n` line breaks."""

    text: str
    kind: Kind
    notes: tuple[str, ...] = ()
    """What was guessed, and what could not be read."""


def read_subtitle_text(path: Path) -> SubtitleText:
    """Return the text of a subtitle file in any usual encoding. The content decides the format, not the name.

    Raises BadSource if it is not a file, or too large.
    """
    if not path.is_file():  # reading a pipe or a device may never end
        raise BadSource(f"'{path.name}' is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise BadSource(f"'{path.name}' is too large to be subtitles; the limit is {MAX_BYTES // 2**20} MiB")
    decoded = decode_text(path.read_bytes())
    text = _clean(decoded.text)
    return SubtitleText(text, _detect_kind(text), tuple(_notes(path.name, decoded)))


def _clean(text: str) -> str:
    for line_break in ("\r\r\n", "\r\n", "\r"):
        text = text.replace(line_break, "\n")
    # Joined files have a byte order mark at the start of each.
    return text.replace("\0", "").replace("\ufeff", "")


def _detect_kind(text: str) -> Kind:
    head = text[:2048].lstrip()
    if head.startswith("WEBVTT"):
        return "webvtt"
    # Editors write remarks before the first section.
    return "ass" if "[script info]" in head.lower()[:1024] else "captions"


def _notes(name: str, decoded: DecodedText) -> Iterator[str]:
    if decoded.guessed is not None:
        yield (
            f"'{name}' states no encoding and was read as {decoded.guessed}, by the frequency of its letters; "
            "convert it to UTF-8 if letters are wrong"
        )
    if decoded.unreadable:
        count = f"{decoded.unreadable} character{'s' if decoded.unreadable > 1 else ''}"
        yield f"{count} of '{name}' could not be read and became \ufffd"
