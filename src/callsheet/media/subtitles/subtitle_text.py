"""Decoding of subtitle files."""

from pathlib import Path

from callsheet.domain.errors import BadSource

MAX_BYTES = 16 * 2**20
"""Size limit of a subtitle file."""


def read_subtitle_text(path: Path) -> str:
    """Return the text of a subtitle file in UTF-8, UTF-16 or Windows-1252, with `\\n` line breaks.

    Raises BadSource if the file is too large.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadSource(f"'{path.name}' is too large to be subtitles; the limit is {MAX_BYTES // 2**20} MiB")
    return _decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    try:
        return data.decode(_detect_encoding(data))
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _detect_encoding(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in data[:2]:  # UTF-16 without a byte order mark: the first character is ASCII
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"
