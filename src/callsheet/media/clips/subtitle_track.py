"""Subtitle files that are put into a film as tracks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callsheet.domain.errors import BadSource
from callsheet.media.ffmpeg.inputs import file_url

Kind = Literal["srt", "webvtt", "ass"]

_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class SubtitleFile:
    """Subtitles in a file of ours, in UTF-8."""

    path: Path
    kind: Kind


def read_subtitle_file(path: Path, copy: Path) -> SubtitleFile:
    """Copy an SRT, WebVTT or ASS file to `copy`, in UTF-8. Its contents decide what it is, never its name.

    Raises BadSource when it is none of them, or too large.
    """
    if not path.is_file():  # reading a pipe or a device may never end
        raise BadSource(f"'{path.name}' is not a file")
    if path.stat().st_size > _MOST_BYTES:
        raise BadSource(f"'{path.name}' is too large to be subtitles")
    text = _text(path.read_bytes())
    kind = _kind(text)
    if kind is None:
        raise BadSource(f"'{path.name}' holds no subtitles; SRT, WebVTT and ASS are known")
    copy.write_text(text, encoding="utf-8")
    return SubtitleFile(copy, kind)


def subtitle_input(sidecar: SubtitleFile) -> list[str]:
    """Return the words for a subtitle file as an input."""
    reader = ["-protocol_whitelist", "file", "-format_whitelist", sidecar.kind, "-f", sidecar.kind]
    return [*reader, "-i", file_url(sidecar.path)]


def _kind(text: str) -> Kind | None:
    head = text.lstrip()[:1024]
    if head.startswith("WEBVTT"):
        return "webvtt"
    if head.lower().startswith("[script info]"):
        return "ass"
    return "srt" if " --> " in text and "\0" not in text else None


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")
