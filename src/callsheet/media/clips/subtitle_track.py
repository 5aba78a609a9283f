"""Subtitle files as inputs of a mux."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callsheet.domain.errors import BadSource
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.subtitles.subtitle_text import read_subtitle_text

Kind = Literal["srt", "webvtt", "ass"]


@dataclass(frozen=True, slots=True)
class SubtitleFile:
    """A subtitle file in UTF-8, written by callsheet."""

    path: Path
    kind: Kind


def read_subtitle_file(path: Path, copy: Path) -> SubtitleFile:
    """Copy an SRT, WebVTT or ASS file to `copy`, converted to UTF-8. The content decides the format, not the name.

    Raises BadSource if it is none of them, or too large.
    """
    if not path.is_file():  # reading a pipe or a device may never end
        raise BadSource(f"'{path.name}' is not a file")
    text = read_subtitle_text(path)
    kind = _detect_kind(text)
    if kind is None:
        raise BadSource(f"'{path.name}' is not a subtitle file; SRT, WebVTT and ASS are supported")
    copy.write_text(text, encoding="utf-8")
    return SubtitleFile(copy, kind)


def subtitle_input(file: SubtitleFile) -> list[str]:
    """Return the arguments for a subtitle file as an input."""
    demuxer = ["-protocol_whitelist", "file", "-format_whitelist", file.kind, "-f", file.kind]
    return [*demuxer, "-i", file_url(file.path)]


def _detect_kind(text: str) -> Kind | None:
    head = text.lstrip()[:1024]
    if head.startswith("WEBVTT"):
        return "webvtt"
    if head.lower().startswith("[script info]"):
        return "ass"
    return "srt" if " --> " in text and "\0" not in text else None
