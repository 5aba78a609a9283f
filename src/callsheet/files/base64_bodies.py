"""Large base64 texts inside of a JSON document on disk: decoded to files, piece by piece, never held in memory."""

import base64
import binascii
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.domain.errors import BadSource
from callsheet.domain.json_text import read_json

_LONG_TEXT = re.compile(rb'"((?:data:[\w.+/;=-]{1,200},)?(?:[A-Za-z0-9+/=]|\\/){4096,})"')
_CHUNK = 4 * 256 * 1024
"""Characters that are decoded at a time: a multiple of 4."""
_MARK = "base64-text:"


@dataclass(frozen=True, slots=True)
class Base64Text:
    """A base64 text at a place in a file."""

    source: Path
    start: int
    end: int

    def decode_to(self, target: Path) -> None:
        """Write the decoded bytes. Raises BadSource for a text that is not base64."""
        with self.source.open("rb") as source, target.open("wb") as file:
            source.seek(self.start)
            left, rest = self.end - self.start, b""
            while left > 0:
                piece = source.read(min(_CHUNK, left))
                left -= len(piece)
                rest = (rest + piece).replace(b"\\", b"")
                whole = len(rest) - len(rest) % 4 if left else len(rest)
                file.write(decode_base64(rest[:whole]))
                rest = rest[whole:]


def read_with_base64(path: Path, token: str) -> Any:
    """Return a JSON document, with a `Base64Text` for each long base64 text.

    `token` is a text that the sender cannot know. Raises DocumentError.
    """
    texts: list[Base64Text] = []
    pieces, end = [], 0
    if not path.stat().st_size:
        return read_json(b"")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        for match in _LONG_TEXT.finditer(body):
            start = match.start(1)
            if body[start : start + 5] == b"data:":
                start = body.find(b",", start) + 1
            pieces += [body[end : match.start(1)], f"{_MARK}{token}:{len(texts)}".encode()]
            texts.append(Base64Text(path, start, match.end(1)))
            end = match.end(1)
        pieces.append(body[end:])
    return _with_texts(read_json(b"".join(pieces)), f"{_MARK}{token}:", texts)


def decode_base64(text: bytes) -> bytes:
    """Return the bytes of a base64 text. Raises BadSource."""
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise BadSource("A file of the result is not valid base64") from None


def _with_texts(value: Any, mark: str, texts: list[Base64Text]) -> Any:
    if isinstance(value, dict):
        return {key: _with_texts(member, mark, texts) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_texts(member, mark, texts) for member in value]
    if isinstance(value, str) and value.startswith(mark):
        return texts[int(value.removeprefix(mark))]
    return value
