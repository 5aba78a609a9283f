"""Advanced SubStation Alpha (ASS) scripts. FFmpeg renders all text from them with libass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from callsheet.media.subtitles.ass_motion import Motion, Point, Slide
from callsheet.media.subtitles.ass_style import ass_style_line
from callsheet.media.subtitles.glyph_metrics import cjk_language, has_joined_letters
from callsheet.media.subtitles.karaoke_events import KaraokeEvent, karaoke_events
from callsheet.media.subtitles.spoken import SpokenText, TimedWord, align_words
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import box_style, with_title_defaults, without_box
from callsheet.media.subtitles.text_layout import fit_text
from callsheet.media.subtitles.text_wrapping import parse_units

_WORD_JOINER = "\u2060"
_LINE_BREAKS = ("\r\n", "\r", "\u2028", "\u2029", "\x0b", "\x0c", "\x85")


@dataclass(frozen=True, slots=True)
class Line:
    """A text that is visible from `start` to `end`, in seconds of the video."""

    start: float
    end: float
    text: str
    """ASS text; plain text must be escaped by `escape_text`."""
    style: TextStyle
    """Unset fields use the title defaults. `with_caption_defaults` sets the caption defaults."""
    fade_in: float = 0.0
    """Duration of the fade-in, in seconds."""
    fade_out: float = 0.0
    """Duration of the fade-out, in seconds."""
    offset: Point = (0.0, 0.0)
    """Offset from the styled position to the right and down, as fractions of the frame width and height."""
    opacity: float = 1.0
    rotation: float = 0.0
    """Degrees clockwise about the center of the text."""
    slide_in: Slide | None = None
    """Direction in which the text slides in from the frame edge. It takes the fade-in time, or 0.5 s without one."""
    slide_out: Slide | None = None
    """Direction in which the text slides out. It takes the fade-out time, or 0.5 s without one."""
    words: Sequence[TimedWord] | None = None
    """Word times for karaoke styles; None distributes the duration by word length."""

    def shifted(self, seconds: float) -> "Line":
        """Return the line and its words moved by `seconds`. Times are rounded to µs, so that equal lines stay equal."""
        words = self.words and [SpokenText(word.text, *_shift((word.start, word.end), seconds)) for word in self.words]
        start, end = _shift((self.start, self.end), seconds)
        return replace(self, start=start, end=end, words=words)


def _shift(times: tuple[float, float], seconds: float) -> tuple[float, float]:
    return round(times[0] + seconds, 6), round(times[1] + seconds, 6)


def escape_text(text: str) -> str:
    """Return plain text escaped for ASS, so that no part of it is an override tag."""
    # A word joiner after a backslash prevents an ASS escape. ASS has no escape for the backslash itself.
    text = text.replace("\\", "\\" + _WORD_JOINER).replace("{", "\\{").replace("}", "\\}")
    for line_break in _LINE_BREAKS:
        text = text.replace(line_break, "\n")
    text = text.replace("\t", " ")
    return "".join(letter for letter in text if letter >= " " or letter == "\n").replace("\n", "\\N")


def build_script(lines: Sequence[Line], *, width: int, height: int) -> str:
    """Return an ASS script for a frame of `width` by `height` pixels. One script unit is one pixel."""
    names: dict[str, str] = {}
    events = [event for line in lines for event in _LineEvents(line, width, height).events(names)]
    language = cjk_language("".join(line.text for line in lines))
    # Han characters are unified in Unicode; the language selects their regional glyphs.
    language_field = [f"Language: {language}"] if language else []
    return "\n".join(
        [
            "[Script Info]",
            "ScriptType: v4.00+",
            *language_field,
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
            *(f"Style: {name},{fields}" for fields, name in names.items()),
            "",
            "[Events]",
            "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
            *events,
            "",
        ]
    )


class _LineEvents:
    """Renders one line as ASS events."""

    def __init__(self, line: Line, width: int, height: int) -> None:
        self.line = line
        style = with_title_defaults(line.style, width, height)
        if has_joined_letters(line.text):
            style = style.model_copy(update={"letter_spacing": 0.0})
        units = parse_units(line.text)
        self.placement, layout = fit_text(style, units, width=width, height=height, rotation=line.rotation)
        self.style = self.placement.style
        self.motion = Motion(line.start, line.end, line.fade_in, line.fade_out, line.slide_in, line.slide_out)
        self.full_event = KaraokeEvent(line.start, line.end, layout)

    def events(self, names: dict[str, str]) -> Iterator[str]:
        """Yield the events of the line. Styles that they need are added to `names`, by their fields."""
        for event in self._karaoke_events():
            times, tags = f"{_timestamp(event.start)},{_timestamp(event.end)}", self._override_tags(event)
            if self._draws_box:
                fields = self._style_fields(event, box_style(self.style), self.style.background_opacity)
                yield f"Dialogue: 0,{times},{_style_name(names, fields)},,0,0,0,,{tags}{self._box_drawing(event)}"
            style = without_box(self.style) if self._draws_box else self.style
            yield f"Dialogue: 1,{times},{_style_name(names, self._style_fields(event, style))},,0,0,0,,{tags}{event}"

    def _karaoke_events(self) -> Iterator[KaraokeEvent]:
        full, windows = self.full_event, self.motion.windows()
        if self.style.effect == "none":
            yield from (KaraokeEvent(start, end, full.layout) for start, end in windows)
            return
        words = align_words(full.layout.units, self.line.words, full.start, full.end)
        for window in windows:
            yield from karaoke_events(self.style, full, words, window, self.placement.text_box)

    def _override_tags(self, event: KaraokeEvent) -> str:
        # An ASS style has only normal and bold; other weights need an override tag.
        weight = self.style.font_weight
        tags = "" if weight in (400, 700) else f"\\b{weight}"
        tags += self.motion.fade_tag(event.start, event.end)
        moves = self.line.offset != (0.0, 0.0) or self.line.slide_in or self.line.slide_out
        if self.placement.needs_position or moves:
            rest = self.placement.anchor_point(event.wrapped, self.line.offset)
            frame = (self.placement.width, self.placement.height)
            tags += self.motion.position_tag(event.start, event.end, rest, frame)
        return f"{{{tags}}}" if tags else ""

    @property
    def _draws_box(self) -> bool:
        # The background box of libass does not rotate with its text, so a rotated box is drawn as a shape.
        return self.line.rotation != 0 and self.style.background_color is not None

    def _box_drawing(self, event: KaraokeEvent) -> str:
        padding = 2 * (self.style.padding or 0.0)
        width, height = event.wrapped.width + padding, event.wrapped.height(self.style.line_height) + padding
        return f"{{\\p1}}m 0 0 l {width:.0f} 0 {width:.0f} {height:.0f} 0 {height:.0f}{{\\p0}}"

    def _style_fields(self, event: KaraokeEvent, style: TextStyle, opacity: float = 1.0) -> str:
        return ass_style_line(
            style,
            size=event.wrapped.size,
            anchor=self.placement.anchor,
            margins=self.placement.margins(event.wrapped),
            opacity=self.line.opacity * opacity,
            rotation=self.line.rotation,
        )


def _style_name(names: dict[str, str], fields: str) -> str:
    return names.setdefault(fields, f"S{len(names)}")


def _timestamp(seconds: float) -> str:
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"
