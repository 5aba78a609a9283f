"""ASS events of a text whose words are highlighted as they are spoken."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from callsheet.media.subtitles.ass_style import ass_tag_color
from callsheet.media.subtitles.glyph_metrics import is_right_to_left
from callsheet.media.subtitles.spoken import SpokenSpan, highlight_intervals
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.text_layout import TextLayout, layout_text
from callsheet.media.subtitles.text_wrapping import TextBox, TextUnit, WrappedText


@dataclass(frozen=True, slots=True)
class KaraokeEvent:
    """An interval, in seconds, in which one event shows the text or a part of it."""

    start: float
    end: float
    layout: TextLayout
    tags: Mapping[int, str] = field(default_factory=dict)
    """Override tags by the index of the unit that follows them."""

    @property
    def wrapped(self) -> WrappedText:
        """The line breaks and the size of the text."""
        return self.layout.wrapped

    def __str__(self) -> str:
        text, position = "", 0
        for index in sorted(self.tags):
            text += "".join(self.layout.parts[position:index]) + self.tags[index]
            position = index
        return text + "".join(self.layout.parts[position:])


def karaoke_events(
    style: TextStyle, full: KaraokeEvent, words: Sequence[SpokenSpan], window: tuple[float, float], text_box: TextBox
) -> Iterator[KaraokeEvent]:
    """Yield the events of a karaoke text within a time window. `full` is the event of the whole text."""
    start, end = window
    if style.effect == "karaoke":
        yield KaraokeEvent(start, end, full.layout, _karaoke_tags(full.layout.units, words, start))
        return
    for interval_start, interval_end, number in highlight_intervals(words, full.start, full.end):
        word = None if number is None else words[number]
        a, b = max(interval_start, start), min(interval_end, end)
        if b > a:
            yield from _word_event(style, KaraokeEvent(a, b, full.layout), word, text_box)


def _word_event(
    style: TextStyle, event: KaraokeEvent, word: SpokenSpan | None, text_box: TextBox
) -> Iterator[KaraokeEvent]:
    layout = event.layout
    if style.effect == "highlight":
        yield KaraokeEvent(event.start, event.end, layout, _highlight_tags(style, word)) if word else event
    elif word is not None:
        units = [unit for unit in layout.units[word.first : word.last] if not unit.forced_break]
        yield KaraokeEvent(event.start, event.end, layout_text(units, text_box, layout.wrapped.size))


def _highlight_tags(style: TextStyle, word: SpokenSpan) -> dict[int, str]:
    return {
        word.first: f"{{\\1c{ass_tag_color(style.highlight_color)}}}",
        word.last: f"{{\\1c{ass_tag_color(style.color)}}}",
    }


def _karaoke_tags(units: Sequence[TextUnit], words: Sequence[SpokenSpan], start: float) -> dict[int, str]:
    """Return the karaoke tags of the words in an event that begins at `start`. ASS counts in hundredths of a second."""
    tags: dict[int, str] = {}
    position = round(start * 100)
    for word in words:
        word_start, word_end = max(position, round(word.start * 100)), max(position, round(word.end * 100))
        # \kf fills from left to right, so a right-to-left word would fill from its end. \k switches at once.
        right_to_left = any(is_right_to_left(unit.plain) for unit in units[word.first : word.last])
        tag = "" if right_to_left else "f"
        tags[word.first] = f"{{\\k{word_start - position}\\k{tag}{word_end - word_start}}}"
        position = word_end
    return tags
