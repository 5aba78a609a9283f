"""A text as the events that it takes: one, or one for each of its words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from callsheet.media.glyphs import reads_leftward
from callsheet.media.looks import bare_colour
from callsheet.media.spoken import Spoken, moments
from callsheet.media.style import TextStyle
from callsheet.media.typeset import Room, Setting, Unit, typeset


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time in which one event shows the text, or a part of it."""

    start: float
    end: float
    units: Sequence[Unit]
    setting: Setting
    before: Mapping[int, str] = field(default_factory=dict)
    """Commands by the unit that they stand before."""

    def written(self, line_height: float) -> str:
        """Return the text as the script spells it."""
        between = _line_end(self.setting.size, line_height)
        starts = set(self.setting.starts) - {0}
        parts: list[str] = []
        for at, unit in enumerate(self.units):
            parts += [between] if at in starts else []
            parts += [self.before[at]] if at in self.before else []
            parts += [unit.source] if not (unit.forced or (unit.blank and at + 1 in starts)) else []
        return "".join([*parts, self.before.get(len(self.units), "")])


def _line_end(size: float, line_height: float) -> str:
    if line_height <= 1:
        return "\\N"
    # An empty line is half as high as its letters would be.
    return f"{{\\fs{2 * size * (line_height - 1):.1f}}}\\N\\N{{\\fs{size:.1f}}}"


def following(
    style: TextStyle, whole: Piece, words: Sequence[Spoken], window: tuple[float, float], room: Room
) -> Iterator[Piece]:
    """Yield the pieces of a text whose words are followed, for the part of its time that is in the window."""
    start, end = window
    if style.effect == "karaoke":
        yield Piece(start, end, whole.units, whole.setting, _sung(whole.units, words, start))
        return
    for begin, finish, number in moments(words, whole.start, whole.end):
        word = None if number is None else words[number]
        a, b = max(begin, start), min(finish, end)
        if b > a:
            yield from _moment(style, whole, a, b, word, room)


def _moment(
    style: TextStyle, whole: Piece, start: float, end: float, word: Spoken | None, room: Room
) -> Iterator[Piece]:
    if style.effect == "highlight":
        yield Piece(start, end, whole.units, whole.setting, _marked(style, word) if word else {})
    elif word is not None:
        alone = [unit for unit in whole.units[word.first : word.last] if not unit.forced]
        yield Piece(start, end, alone, typeset(alone, room, whole.setting.size))


def _marked(style: TextStyle, word: Spoken) -> dict[int, str]:
    return {
        word.first: f"{{\\1c{bare_colour(style.highlight_color)}}}",
        word.last: f"{{\\1c{bare_colour(style.color)}}}",
    }


def _sung(units: Sequence[Unit], words: Sequence[Spoken], start: float) -> dict[int, str]:
    """Return the karaoke marks of words in an event that begins at `start`."""
    marks: dict[int, str] = {}
    reached = round(start * 100)
    for word in words:
        begin, finish = max(reached, round(word.start * 100)), max(reached, round(word.end * 100))
        # A word that is read from the right would be filled from its end.
        backwards = any(map(reads_leftward, (unit.plain for unit in units[word.first : word.last])))
        marks[word.first] = f"{{\\k{begin - reached}\\k{'' if backwards else 'f'}{finish - begin}}}"
        reached = finish
    return marks
