"""A text as the events that it takes: one, or one for each of its words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from callsheet.media.subtitles.glyph_metrics import reads_leftward
from callsheet.media.subtitles.spoken import Spoken, moments
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import bare_colour
from callsheet.media.subtitles.text_layout import TextLayout, layout_text
from callsheet.media.subtitles.text_wrapping import Room, Setting, TextUnit


@dataclass(frozen=True, slots=True)
class KaraokeEvent:
    """A stretch of time in which one event shows the text, or a part of it."""

    start: float
    end: float
    laid: TextLayout
    before: Mapping[int, str] = field(default_factory=dict)
    """Commands by the unit that they stand before."""

    @property
    def setting(self) -> Setting:
        """How the text is set."""
        return self.laid.setting

    def __str__(self) -> str:
        written, reached = "", 0
        for at in sorted(self.before):
            written += "".join(self.laid.parts[reached:at]) + self.before[at]
            reached = at
        return written + "".join(self.laid.parts[reached:])


def following(
    style: TextStyle, whole: KaraokeEvent, words: Sequence[Spoken], window: tuple[float, float], room: Room
) -> Iterator[KaraokeEvent]:
    """Yield the pieces of a text whose words are followed, for the part of its time that is in the window."""
    start, end = window
    if style.effect == "karaoke":
        yield KaraokeEvent(start, end, whole.laid, _sung(whole.laid.units, words, start))
        return
    for begin, finish, number in moments(words, whole.start, whole.end):
        word = None if number is None else words[number]
        a, b = max(begin, start), min(finish, end)
        if b > a:
            yield from _moment(style, KaraokeEvent(a, b, whole.laid), word, room)


def _moment(style: TextStyle, piece: KaraokeEvent, word: Spoken | None, room: Room) -> Iterator[KaraokeEvent]:
    laid = piece.laid
    if style.effect == "highlight":
        yield KaraokeEvent(piece.start, piece.end, laid, _marked(style, word)) if word else piece
    elif word is not None:
        alone = [unit for unit in laid.units[word.first : word.last] if not unit.forced]
        yield KaraokeEvent(piece.start, piece.end, layout_text(alone, room, laid.setting.size))


def _marked(style: TextStyle, word: Spoken) -> dict[int, str]:
    return {
        word.first: f"{{\\1c{bare_colour(style.highlight_color)}}}",
        word.last: f"{{\\1c{bare_colour(style.color)}}}",
    }


def _sung(units: Sequence[TextUnit], words: Sequence[Spoken], start: float) -> dict[int, str]:
    """Return the karaoke marks of words in an event that begins at `start`."""
    marks: dict[int, str] = {}
    reached = round(start * 100)
    for word in words:
        begin, finish = max(reached, round(word.start * 100)), max(reached, round(word.end * 100))
        # A word that is read from the right would be filled from its end.
        backwards = any(reads_leftward(unit.plain) for unit in units[word.first : word.last])
        marks[word.first] = f"{{\\k{begin - reached}\\k{'' if backwards else 'f'}{finish - begin}}}"
        reached = finish
    return marks
