"""What a style leaves unset, and how a script spells a style."""

from callsheet.media.subtitles.style import Position, TextStyle

_ROUNDING = 2.0
"""Pixels by which renderers differ."""


def as_title(style: TextStyle, width: int, height: int) -> TextStyle:
    """Return the style with what is unset filled in as suits a title."""
    return _completed(style, size=min(width, height) * 0.1, position="center")


def as_caption(style: TextStyle, width: int, height: int) -> TextStyle:
    """Return the style with what is unset filled in as suits captions."""
    return _completed(style, size=min(width, height) * 0.062, position="bottom")


def _completed(style: TextStyle, *, size: float, position: Position) -> TextStyle:
    size = style.font_size or size
    boxed = style.background_color is not None
    stroke = (0.0 if boxed else size * 0.055) if style.stroke_width is None else style.stroke_width
    shadow = (size * 0.03 if stroke else 0.0) if style.shadow is None else style.shadow
    filled = {
        "font_size": size,
        "stroke_width": stroke,
        "shadow": shadow,
        "padding": size * 0.28 if style.padding is None else style.padding,
        "position": style.position or position,
    }
    return style.model_copy(update=filled)


def scaled(style: TextStyle, ratio: float) -> TextStyle:
    """Return a completed style with all that is in pixels so much larger or smaller."""
    sizes = {
        "font_size": style.font_size,
        "stroke_width": style.stroke_width,
        "shadow": style.shadow,
        "padding": style.padding,
        "letter_spacing": style.letter_spacing,
    }
    return style.model_copy(update={name: (size or 0.0) * ratio for name, size in sizes.items()})


def without_box(style: TextStyle) -> TextStyle:
    """Return a completed style for text whose box is drawn apart."""
    return style.model_copy(update={"background_color": None, "shadow": 0.0})


def box_of(style: TextStyle) -> TextStyle:
    """Return the style of a shape that is drawn in the place of the box."""
    drawn = {"color": style.background_color, "stroke_width": 0.0, "effect": "none", "font_family": "Inter"}
    return without_box(style).model_copy(update=drawn)


def reach(style: TextStyle) -> float:
    """Return how far anything drawn reaches beyond the letters of a completed style."""
    stroke = style.stroke_width or 0.0
    boxed = style.background_color is not None
    drawn = max(stroke, style.padding or 0.0) if boxed else stroke + (style.shadow or 0.0)
    return drawn + _ROUNDING


def ass_style_line(
    style: TextStyle, *, size: float, anchor: int, margins: tuple[int, int, int], opacity: float, rotation: float
) -> str:
    """Return the fields of a completed style that follow its name; `margins` are left, right and vertical."""
    boxed = style.background_color is not None
    # With a box, its colour stands in the place of the shadow's, and its padding in the place of the depth.
    behind = (style.background_color, style.background_opacity) if boxed else (style.shadow_color, 0.55)
    fill = style.highlight_color if style.effect == "karaoke" else style.color
    fields = [
        *(style.font_family, f"{size:.1f}"),
        *(_colour(fill, opacity), _colour(style.color, opacity), _colour(style.stroke_color, opacity)),
        _colour(behind[0], behind[1] * opacity),
        *("-1" if style.font_weight > 550 else "0", "-1" if style.italic else "0", "0", "0", "100", "100"),
        *(f"{style.letter_spacing:.1f}", f"{-rotation if rotation else 0:.1f}"),
        *("4" if boxed else "1", f"{style.stroke_width or 0:.2f}"),
        f"{(style.padding if boxed else style.shadow) or 0:.2f}",
        *(str(anchor), *map(str, margins)),
        "-1",  # the direction of writing follows from the text, as a whole
    ]
    return ",".join(fields)


def _colour(name: str | None, opacity: float = 1.0) -> str:
    red, green, blue = (name or "#000000")[1:3], (name or "#000000")[3:5], (name or "#000000")[5:7]
    return f"&H{round(255 * (1 - opacity)):02X}{blue}{green}{red}".upper()


def bare_colour(name: str) -> str:
    """Return `#rrggbb` as a command of a script writes it."""
    return f"&H{_colour(name)[4:]}&"
