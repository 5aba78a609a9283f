"""Subtitle files as inputs of a mux."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from callsheet.domain.errors import BadSource
from callsheet.media.encoding.codecs import Format
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.subtitles.ass_events import event_captions, read_events
from callsheet.media.subtitles.subtitle_parsers import ParsedCaption, ParsedCaptions, parse_captions
from callsheet.media.subtitles.subtitle_text import read_subtitle_text
from callsheet.media.subtitles.subtitle_writers import srt_of_captions, webvtt_of_captions

_MAX_VISIBLE = 20
"""Captions that are visible at once."""


@dataclass(frozen=True, slots=True)
class SubtitleFile:
    """A subtitle file in UTF-8, written by callsheet."""

    path: Path
    kind: Literal["srt", "ass", "webvtt"]
    starts: tuple[float, ...] = ()
    """Start times of the captions, in seconds."""
    notes: tuple[str, ...] = ()
    """What was guessed, and what could not be used."""
    has_styles: bool = False
    """Whether it was given as ASS."""


def read_subtitle_file(path: Path, copy: Path, format: Format = "mkv") -> SubtitleFile:
    """Write the captions of an SRT, WebVTT or ASS file to `copy`, as `read_captions` reads them for `render`.

    `format` is the container that they are for. MKV keeps the styles of ASS; the others keep italic, bold and
    underlined text. In MP4, captions that are visible at the same time become one caption with the text of both.

    Raises BadSource if it is none of them, or too large.
    """
    source = read_subtitle_text(path)
    is_ass = source.kind == "ass"
    if is_ass and format == "mkv":
        copy.write_text(source.text, encoding="utf-8")
        starts = tuple(event.start for event in read_events(source.text.split("\n")))
        return SubtitleFile(copy, "ass", starts, source.notes, has_styles=True)
    parsed = (
        ParsedCaptions(tuple(event_captions(source.text)), source.notes)
        if is_ass
        else parse_captions(source, path.name)
    )
    captions = _without_overlaps(parsed.captions, path.name) if format == "mp4" else parsed.captions
    write = webvtt_of_captions if format == "webm" else srt_of_captions
    copy.write_text(write(captions), encoding="utf-8")
    starts = tuple(caption.start for caption in captions)
    return SubtitleFile(copy, "webvtt" if format == "webm" else "srt", starts, parsed.notes, is_ass)


def subtitle_input(file: SubtitleFile, seconds: float) -> list[str]:
    """Return the arguments for a subtitle file as an input, of which the captions of the first `seconds` are read."""
    demuxer = ["-protocol_whitelist", "file", "-format_whitelist", file.kind, "-f", file.kind]
    return [*demuxer, "-t", f"{seconds:.6f}", "-i", file_url(file.path)]


def _without_overlaps(captions: Sequence[ParsedCaption], name: str) -> list[ParsedCaption]:
    """Return captions one after another. In MP4 a caption ends where the next one begins.

    Raises BadSource if too many of the file called `name` are visible at once.
    """
    borders = sorted({time for caption in captions for time in (caption.start, caption.end)})
    result: list[ParsedCaption] = []
    visible: list[ParsedCaption] = []
    waiting = list(reversed(captions))
    for start, end in pairwise(borders):
        visible = [caption for caption in visible if caption.end > start]
        while waiting and waiting[-1].start <= start:
            visible.append(waiting.pop())
        if len(visible) > _MAX_VISIBLE:
            raise BadSource(f"'{name}' shows more than {_MAX_VISIBLE} captions at once, which mp4 cannot hold; use mkv")
        if not visible:
            continue
        body = "\n".join(dict.fromkeys(caption.body for caption in visible))
        at_top = all(caption.at_top for caption in visible)
        if result and (result[-1].end, result[-1].body, result[-1].at_top) == (start, body, at_top):
            result[-1] = replace(result[-1], end=end)
        else:
            result.append(ParsedCaption(start, end, body, at_top))
    return result
