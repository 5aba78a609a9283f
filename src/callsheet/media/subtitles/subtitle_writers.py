"""Writers of SRT, WebVTT and ASS captions."""

import html
from collections.abc import Callable, Sequence
from dataclasses import replace

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.ass import Line, build_script, escape_text
from callsheet.media.subtitles.caption_markup import srt_text, webvtt_text
from callsheet.media.subtitles.cue_segmentation import Cue
from callsheet.media.subtitles.line_breaks import join_words
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import with_caption_defaults
from callsheet.media.subtitles.subtitle_parsers import ParsedCaption
from callsheet.media.subtitles.timestamps import subtitle_timestamp

_TOP = "{\\an8}"
"""The tag that places a caption of SRT at the top of the frame."""
_TOP_LINE = " line:0"
"""The setting that does so in WebVTT."""


def srt(cues: Sequence[Cue]) -> str:
    """Return captions as SubRip (SRT). SRT has no styles and no escape for `-->`, which is replaced by an arrow."""
    return "".join(
        f"{number}\n{subtitle_timestamp(cue.start, ',')} --> {subtitle_timestamp(cue.end, ',')}\n"
        f"{cue.text.replace('-->', '→')}\n\n"
        for number, cue in enumerate(cues, 1)
    )


def srt_of_captions(captions: Sequence[ParsedCaption]) -> str:
    """Return the captions of a file as SRT that every reader understands: numbered, sorted, in UTF-8."""
    return "".join(
        f"{number}\n{subtitle_timestamp(caption.start, ',')} --> {subtitle_timestamp(caption.end, ',')}\n"
        f"{_TOP if caption.at_top else ''}{srt_text(caption.body)}\n\n"
        for number, caption in enumerate(captions, 1)
    )


def webvtt_of_captions(captions: Sequence[ParsedCaption]) -> str:
    """Return the captions of a file as WebVTT, with its escapes."""
    return "\n".join(["WEBVTT\n", *map(_vtt_caption, captions)])


def _vtt_caption(caption: ParsedCaption) -> str:
    times = f"{subtitle_timestamp(caption.start)} --> {subtitle_timestamp(caption.end)}"
    return f"{times}{_TOP_LINE if caption.at_top else ''}\n{webvtt_text(caption.body)}\n"


def vtt(cues: Sequence[Cue], *, word_times: bool = False) -> str:
    """Return captions as WebVTT. With `word_times`, each word has a timestamp."""
    return "\n".join(["WEBVTT\n", *(_vtt_cue(cue, word_times) for cue in cues)])


def _vtt_cue(cue: Cue, word_times: bool) -> str:
    text = _text_with_timestamps(cue) if word_times else html.escape(cue.text, quote=False)
    return f"{subtitle_timestamp(cue.start)} --> {subtitle_timestamp(cue.end)}\n{text}\n"


def _text_with_timestamps(cue: Cue) -> str:
    """Return the text with a timestamp before each word that begins while the caption is visible."""
    return "\n".join(join_words(replace(word, text=_with_timestamp(word, cue)) for word in line) for line in cue.lines)


def _with_timestamp(word: Word, cue: Cue) -> str:
    text = html.escape(word.text, quote=False)
    return f"<{subtitle_timestamp(word.start)}>{text}" if cue.start < word.start < cue.end else text


def ass(cues: Sequence[Cue], style: TextStyle, *, width: int, height: int) -> str:
    """Return captions as a styled ASS script for a frame of `width` by `height` pixels.

    A style with an effect uses the times of the spoken words.
    """
    complete = with_caption_defaults(style, width, height)
    change_case: Callable[[str], str] = str.upper if style.uppercase else str
    lines = [
        Line(
            cue.start,
            cue.end,
            escape_text(change_case(cue.text)),
            complete,
            words=[word for line in cue.lines for word in line],
        )
        for cue in cues
    ]
    return build_script(lines, width=width, height=height)
