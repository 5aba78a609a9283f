"""Text as Advanced SubStation Alpha, the script that FFmpeg's subtitle renderer draws best."""

from collections.abc import Sequence
from dataclasses import dataclass

from callsheet.media.style import Position, TextStyle

_ANCHORS: dict[Position, int] = {
    "bottom_left": 1,
    "bottom": 2,
    "bottom_right": 3,
    "left": 4,
    "center": 5,
    "right": 6,
    "top_left": 7,
    "top": 8,
    "top_right": 9,
}
_SIDE_MARGIN = 0.07
_WORD_JOINER = "\u2060"


@dataclass(frozen=True, slots=True)
class Line:
    """Text on the screen from one second to another."""

    start: float
    end: float
    text: str
    """As escaped by `literal`."""
    style: TextStyle
    fade: float = 0.0
    """Seconds to appear, and to disappear."""


def literal(text: str) -> str:
    """Return plain text so that nothing in it is taken for a command of the script."""
    # An invisible character after the backslash keeps it from making a command with what follows.
    text = text.replace("\\", "\\" + _WORD_JOINER).replace("{", "\\{").replace("}", "\\}")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\N")


def as_title(style: TextStyle, width: int, height: int) -> TextStyle:
    """Return the style with what is unset filled in as suits a title."""
    short = min(width, height)
    size = style.font_size or short * 0.1
    return _completed(style, size=size, position="center", margin=height * 0.1)


def as_caption(style: TextStyle, width: int, height: int) -> TextStyle:
    """Return the style with what is unset filled in as suits captions.

    On upright pictures they stand higher, clear of what players lay over the bottom.
    """
    size = style.font_size or min(width, height) * 0.062
    return _completed(style, size=size, position="bottom", margin=height * (0.2 if height > width else 0.06))


def _completed(style: TextStyle, *, size: float, position: Position, margin: float) -> TextStyle:
    stroke = size * 0.055 if style.stroke_width is None else style.stroke_width
    filled = {
        "font_size": size,
        "stroke_width": stroke,
        "position": style.position or position,
        "margin": margin if style.margin is None else style.margin,
    }
    return style.model_copy(update=filled)


def script(lines: Sequence[Line], *, width: int, height: int) -> str:
    """Return the whole file. One unit of it is one pixel of the film."""
    looks = dict.fromkeys(_looks(line.style, width) for line in lines)
    names = {look: f"S{number}" for number, look in enumerate(looks)}
    return "\n".join(
        [
            "[Script Info]",
            "ScriptType: v4.00+",
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
            *(_event(line, names[_looks(line.style, width)]) for line in lines),
            "",
        ]
    )


def _looks(style: TextStyle, width: int) -> str:
    """Return the fields of a style that follow its name."""
    size, stroke = style.font_size or 48.0, style.stroke_width or 0.0
    boxed = style.background_color is not None
    # With a box, its colour stands in the place of the shadow's, and its padding in the place of the depth.
    back = _colour(style.background_color, style.background_opacity) if boxed else _colour("#000000", 0.45)
    depth = size * 0.28 if boxed else size * 0.03 if stroke else 0.0
    fields = [
        *(style.font_family, f"{size:.1f}"),
        *(_colour(style.color), _colour(style.color), _colour(style.stroke_color), back),
        *("-1" if style.bold else "0", "-1" if style.italic else "0", "0", "0", "100", "100", "0", "0"),
        *("4" if boxed else "1", f"{0.0 if boxed else stroke:.2f}", f"{depth:.2f}"),
        str(_ANCHORS[style.position or "center"]),
        *[str(round(width * _SIDE_MARGIN))] * 2,
        str(round(style.margin or 0)),
        "-1",  # the direction of writing follows from the text
    ]
    return ",".join(fields)


def _event(line: Line, style: str) -> str:
    fade = min(line.fade, (line.end - line.start) / 2)
    effect = f"{{\\fad({fade * 1000:.0f},{fade * 1000:.0f})}}" if fade else ""
    return f"Dialogue: 0,{_clock(line.start)},{_clock(line.end)},{style},,0,0,0,,{effect}{line.text}"


def _colour(colour: str | None, opacity: float = 1.0) -> str:
    red, green, blue = (colour or "#000000")[1:3], (colour or "#000000")[3:5], (colour or "#000000")[5:7]
    return f"&H{round(255 * (1 - opacity)):02X}{blue}{green}{red}".upper()


def _clock(seconds: float) -> str:
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"
