"""The text of one caption of an SRT or WebVTT file, with its tags."""

import html
import re
from collections.abc import Iterator
from itertools import pairwise

from callsheet.media.subtitles.ass import escape_text
from callsheet.media.subtitles.spoken import SpokenText

_WORD_JOINER = "\u2060"
_STYLES = {"i": "i", "em": "i", "b": "b", "strong": "b", "u": "u"}

# Only the tags of SRT and WebVTT: other text in angle brackets, as in "x < 5 and y > 3", is text.
_NAMES = "b|i|u|s|em|strong|font|span|c|v|lang|ruby|rt|rp|br|p"
_TAG = re.compile(rf"<(?P<close>/?)(?P<name>{_NAMES})(?:[.\s/][^<>]*+)?>", re.IGNORECASE)
_INLINE_TIMESTAMP = re.compile(r"<(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?>")
_RUBY_TEXT = re.compile(r"<rt\b[^<>]*+>.*?(?:</rt>|(?=</ruby>)|$)", re.DOTALL | re.IGNORECASE)
_OVERRIDE = re.compile(r"\{\\[^{}]*+\}")
_STYLE_OVERRIDE = re.compile(r"\{\\([ibu])([01])\}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ALIGNMENT = re.compile(r"\{\\an?(\d{1,2})\}")
_OLD_ALIGNMENTS = {"5": 7, "6": 8, "7": 9, "9": 4, "10": 5, "11": 6}


def alignment_tag(body: str) -> int | None:
    """Return the alignment that an override tag such as `{\\an8}` states, by the keys of a numeric keypad, or None."""
    match = _ALIGNMENT.search(body)
    if match is None:
        return None
    number = match[1]
    alignment = int(number) if "\\an" in match[0] else _OLD_ALIGNMENTS.get(number, int(number))
    return alignment if 1 <= alignment <= 9 else None


def plain_body(body: str) -> str:
    """Return a text without ruby annotations, word times and override tags. Tags of styles are kept."""
    body = _RUBY_TEXT.sub("", body)
    body = _STYLE_OVERRIDE.sub(lambda match: f"<{'' if match[2] == '1' else '/'}{match[1]}>", body)
    return _OVERRIDE.sub("", body)


def ass_text(body: str, uppercase: bool = False) -> str:
    """Return a text as ASS: italic, bold and underline tags are converted, other tags removed, the rest escaped."""
    return "".join(
        f"{{\\{part.name}{0 if part.closes else 1}}}"
        if isinstance(part, _StyleTag)
        else escape_text(part.upper() if uppercase else part)
        for part in _parts(_INLINE_TIMESTAMP.sub("", body))
    )


def srt_text(body: str) -> str:
    """Return a text as SRT: italic, bold and underline tags are kept, other tags removed."""
    return "".join(
        f"<{'/' if part.closes else ''}{part.name}>" if isinstance(part, _StyleTag) else _srt_escaped(part)
        for part in _parts(_INLINE_TIMESTAMP.sub("", body))
    )


def webvtt_text(body: str) -> str:
    """Return a text as WebVTT: italic, bold and underline tags are kept, other tags removed, the rest escaped."""
    return "".join(
        f"<{'/' if part.closes else ''}{part.name}>" if isinstance(part, _StyleTag) else html.escape(part, quote=False)
        for part in _parts(_INLINE_TIMESTAMP.sub("", body))
    )


def _srt_escaped(text: str) -> str:
    """Return plain text for SRT, which has no escapes: a word joiner keeps text from being read as a tag."""
    text = _TAG.sub(lambda match: f"<{_WORD_JOINER}{match[0][1:]}", text)
    return text.replace("{\\", "{" + _WORD_JOINER + "\\").replace("-->", "→")


def timed_words(body: str, start: float, end: float) -> tuple[SpokenText, ...] | None:
    """Return the words between the inline timestamps of a WebVTT caption; None if it has none."""
    timestamps = list(_INLINE_TIMESTAMP.finditer(body))
    if not timestamps:
        return None
    times = [start, *(min(max(seconds(match.groups()), start), end) for match in timestamps), end]
    edges = [0, *(edge for match in timestamps for edge in match.span()), len(body)]
    texts = [_unescape(_TAG.sub("", body[a:b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return tuple(SpokenText(text, a, b) for text, (a, b) in zip(texts, pairwise(times), strict=True) if text.strip())


def seconds(parts: tuple[str | None, ...]) -> float:
    """Return the time of hours, minutes, seconds and the digits after the decimal mark."""
    hours, minutes, whole, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(whole or 0) + float(f"0.{fraction or 0}")


class _StyleTag:
    __slots__ = ("closes", "name")

    def __init__(self, name: str, closes: bool) -> None:
        self.name = name
        self.closes = closes


def _parts(body: str) -> Iterator[str | _StyleTag]:
    """Yield the plain texts and the tags of styles in order."""
    end = 0
    for tag in _TAG.finditer(body):
        yield _unescape(body[end : tag.start()])
        end = tag.end()
        name = tag["name"].lower()
        if name in _STYLES:
            yield _StyleTag(_STYLES[name], bool(tag["close"]))
        elif name == "br":
            yield "\n"
    yield _unescape(body[end:])


def _unescape(text: str) -> str:
    # Without the semicolon, "R&D&copy" would become "R&D©".
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)
