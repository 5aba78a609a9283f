"""Captions written as SRT, WebVTT and ASS."""

import html
from collections.abc import Callable, Sequence
from dataclasses import replace

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.ass import Line, literal, script
from callsheet.media.subtitles.cue_segmentation import Cue
from callsheet.media.subtitles.line_breaks import join
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import as_caption


def srt(cues: Sequence[Cue]) -> str:
    """Return captions as SubRip. It has no way to say `-->` and no looks."""
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text.replace('-->', '→')}\n\n"
        for number, cue in enumerate(cues, 1)
    )


def vtt(cues: Sequence[Cue], *, word_times: bool = False) -> str:
    """Return captions as WebVTT, which browsers show; with `word_times` it tells when each word is spoken."""
    return "\n".join(["WEBVTT\n", *(_vtt_cue(cue, word_times) for cue in cues)])


def _vtt_cue(cue: Cue, word_times: bool) -> str:
    text = _timed(cue) if word_times else html.escape(cue.text, quote=False)
    return f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n"


def _timed(cue: Cue) -> str:
    """Return the text with a time before each word that begins while the caption is seen."""
    return "\n".join(join(replace(word, text=_stamped(word, cue)) for word in line) for line in cue.lines)


def _stamped(word: Word, cue: Cue) -> str:
    text = html.escape(word.text, quote=False)
    return f"<{_clock(word.start, '.')}>{text}" if cue.start < word.start < cue.end else text


def ass(cues: Sequence[Cue], style: TextStyle, *, width: int, height: int) -> str:
    """Return captions as an ASS script with their looks, for a picture of the given size.

    Where the style follows words, it follows them as they were spoken.
    """
    looks = as_caption(style, width, height)
    shout: Callable[[str], str] = str.upper if style.uppercase else str
    lines = [
        Line(cue.start, cue.end, literal(shout(cue.text)), looks, words=[word for line in cue.lines for word in line])
        for cue in cues
    ]
    return script(lines, width=width, height=height)


def _clock(seconds: float, point: str) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
