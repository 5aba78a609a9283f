"""Subtitle files that are put into a film as tracks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callsheet.domain.errors import BadSource
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.subtitles.subtitle_text import read_subtitle_text

Kind = Literal["srt", "webvtt", "ass"]


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
    text = read_subtitle_text(path)
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
