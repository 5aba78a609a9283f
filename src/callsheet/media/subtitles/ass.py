"""Text as Advanced SubStation Alpha, the script that FFmpeg's subtitle renderer draws best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from callsheet.media.subtitles.ass_motion import Motion, Point, Slide
from callsheet.media.subtitles.glyph_metrics import are_joined, language_of
from callsheet.media.subtitles.karaoke_events import KaraokeEvent, following
from callsheet.media.subtitles.spoken import SpokenText, Word, spoken
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import as_title, ass_style_line, box_of, without_box
from callsheet.media.subtitles.text_layout import settle
from callsheet.media.subtitles.text_wrapping import units_of

_WORD_JOINER = "\u2060"
_NEW_LINES = ("\r\n", "\r", "\u2028", "\u2029", "\x0b", "\x0c", "\x85")


@dataclass(frozen=True, slots=True)
class Line:
    """Text on the screen from one second of the film to another."""

    start: float
    end: float
    text: str
    """As escaped by `literal`."""
    style: TextStyle
    """What is unset in it is filled in as suits a title; `looks.as_caption` fills it in as suits captions."""
    fade_in: float = 0.0
    """Seconds to appear."""
    fade_out: float = 0.0
    """Seconds to disappear."""
    offset: Point = (0.0, 0.0)
    """From the place that the style names, in shares of the width and height, to the right and down."""
    opacity: float = 1.0
    rotation: float = 0.0
    """Degrees, clockwise, about the middle of the text."""
    slide_in: Slide | None = None
    """The way it moves when it comes in from beyond the edge, for as long as it fades in, or half a second."""
    slide_out: Slide | None = None
    """The way it moves when it leaves."""
    words: Sequence[Word] | None = None
    """When each word is spoken, for styles that follow them. Unset: spread over the time by their length."""

    def moved(self, seconds: float) -> "Line":
        """Return the line so much later, its words with it; in microseconds, so that equal lines stay equal."""
        words = self.words and [SpokenText(word.text, *_later((word.start, word.end), seconds)) for word in self.words]
        start, end = _later((self.start, self.end), seconds)
        return replace(self, start=start, end=end, words=words)


def _later(times: tuple[float, float], seconds: float) -> tuple[float, float]:
    return round(times[0] + seconds, 6), round(times[1] + seconds, 6)


def literal(text: str) -> str:
    """Return plain text so that nothing in it is taken for a command of the script."""
    # An invisible character after the backslash keeps it from making a command with what follows.
    text = text.replace("\\", "\\" + _WORD_JOINER).replace("{", "\\{").replace("}", "\\}")
    for end in _NEW_LINES:
        text = text.replace(end, "\n")
    text = text.replace("\t", " ")
    return "".join(letter for letter in text if letter >= " " or letter == "\n").replace("\n", "\\N")


def script(lines: Sequence[Line], *, width: int, height: int) -> str:
    """Return the whole file. One unit of it is one pixel of the film."""
    names: dict[str, str] = {}
    events = [event for line in lines for event in _Shown(line, width, height).events(names)]
    spoken_in = language_of("".join(line.text for line in lines))
    # Chinese letters have one code in all languages, and different forms.
    language = [f"Language: {spoken_in}"] if spoken_in else []
    return "\n".join(
        [
            "[Script Info]",
            "ScriptType: v4.00+",
            *language,
            f"PlayResX: {width}",
            f"PlayResY: {height}",
            "WrapStyle: 0",
            "ScaledBorderAndShadow: yes",
            "YCbCr Matrix: TV.709",
            "",
            "[V4+ Styles]",
            "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, "
            "Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, "
            "Alignment, MarginL, MarginR, MarginV, Encoding",
            *(f"Style: {name},{look}" for look, name in names.items()),
            "",
            "[Events]",
            "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
            *events,
            "",
        ]
    )


class _Shown:
    """One line as events of a script."""

    def __init__(self, line: Line, width: int, height: int) -> None:
        self.line = line
        style = as_title(line.style, width, height)
        if are_joined(line.text):
            style = style.model_copy(update={"letter_spacing": 0.0})
        self.place, laid = settle(style, units_of(line.text), width=width, height=height, rotation=line.rotation)
        self.style = self.place.style
        self.movement = Motion(line.start, line.end, line.fade_in, line.fade_out, line.slide_in, line.slide_out)
        self.whole = KaraokeEvent(line.start, line.end, laid)

    def events(self, names: dict[str, str]) -> Iterator[str]:
        """Yield what makes the line, and enter the styles that it needs."""
        for piece in self._pieces():
            times, commands = f"{_clock(piece.start)},{_clock(piece.end)}", self._commands(piece)
            if self._draws_box:
                name = _named(names, self._look(piece, box_of(self.style), self.style.background_opacity))
                yield f"Dialogue: 0,{times},{name},,0,0,0,,{commands}{self._box(piece)}"
            name = _named(names, self._look(piece, without_box(self.style) if self._draws_box else self.style))
            yield f"Dialogue: 1,{times},{name},,0,0,0,,{commands}{piece}"

    def _pieces(self) -> Iterator[KaraokeEvent]:
        whole, windows = self.whole, self.movement.windows()
        if self.style.effect == "none":
            yield from (KaraokeEvent(start, end, whole.laid) for start, end in windows)
            return
        words = spoken(whole.laid.units, self.line.words, whole.start, whole.end)
        for window in windows:
            yield from following(self.style, whole, words, window, self.place.room)

    def _commands(self, piece: KaraokeEvent) -> str:
        # A style of the script is bold or not; other weights have to be named.
        weight = self.style.font_weight
        tags = "" if weight in (400, 700) else f"\\b{weight}"
        tags += self.movement.fade(piece.start, piece.end)
        if self.place.held or self.line.offset != (0.0, 0.0) or self.line.slide_in or self.line.slide_out:
            rest, frame = self.place.point(piece.setting, self.line.offset), (self.place.width, self.place.height)
            tags += self.movement.slide(piece.start, piece.end, rest, frame)
        return f"{{{tags}}}" if tags else ""

    @property
    def _draws_box(self) -> bool:
        # The renderer's own box does not turn with its text.
        return self.line.rotation != 0 and self.style.background_color is not None

    def _box(self, piece: KaraokeEvent) -> str:
        padding = 2 * (self.style.padding or 0.0)
        wide, high = piece.setting.widest + padding, piece.setting.height(self.style.line_height) + padding
        return f"{{\\p1}}m 0 0 l {wide:.0f} 0 {wide:.0f} {high:.0f} 0 {high:.0f}{{\\p0}}"

    def _look(self, piece: KaraokeEvent, style: TextStyle, opacity: float = 1.0) -> str:
        return ass_style_line(
            style,
            size=piece.setting.size,
            anchor=self.place.anchor,
            margins=self.place.margins(piece.setting),
            opacity=self.line.opacity * opacity,
            rotation=self.line.rotation,
        )


def _named(names: dict[str, str], look: str) -> str:
    return names.setdefault(look, f"S{len(names)}")


def _clock(seconds: float) -> str:
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"
