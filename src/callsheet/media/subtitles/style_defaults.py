"""Defaults and derived variants of text styles."""

from callsheet.media.subtitles.style import Position, TextStyle

_RENDERER_TOLERANCE = 2.0
"""Pixels by which the rendered text may exceed its computed size."""


def with_title_defaults(style: TextStyle, width: int, height: int) -> TextStyle:
    """Return the style with title defaults for unset fields, for a frame of `width` by `height` pixels."""
    return _with_defaults(style, size=min(width, height) * 0.1, position="center")


def with_caption_defaults(style: TextStyle, width: int, height: int) -> TextStyle:
    """Return the style with caption defaults for unset fields, for a frame of `width` by `height` pixels."""
    return _with_defaults(style, size=min(width, height) * 0.062, position="bottom")


def _with_defaults(style: TextStyle, *, size: float, position: Position) -> TextStyle:
    size = style.font_size or size
    boxed = style.background_color is not None
    stroke = (0.0 if boxed else size * 0.055) if style.stroke_width is None else style.stroke_width
    shadow = (size * 0.03 if stroke else 0.0) if style.shadow is None else style.shadow
    defaults = {
        "font_size": size,
        "stroke_width": stroke,
        "shadow": shadow,
        "padding": size * 0.28 if style.padding is None else style.padding,
        "position": style.position or position,
    }
    return style.model_copy(update=defaults)


def scale_style(style: TextStyle, ratio: float) -> TextStyle:
    """Return a complete style with all pixel sizes multiplied by `ratio`."""
    sizes = {
        "font_size": style.font_size,
        "stroke_width": style.stroke_width,
        "shadow": style.shadow,
        "padding": style.padding,
        "letter_spacing": style.letter_spacing,
    }
    return style.model_copy(update={name: (size or 0.0) * ratio for name, size in sizes.items()})


def without_box(style: TextStyle) -> TextStyle:
    """Return a complete style without its box, for text whose box is a separate drawing."""
    return style.model_copy(update={"background_color": None, "shadow": 0.0})


def box_style(style: TextStyle) -> TextStyle:
    """Return the style of the drawing that replaces the box of a style."""
    drawing = {"color": style.background_color, "stroke_width": 0.0, "effect": "none", "font_family": "Inter"}
    return without_box(style).model_copy(update=drawing)


def outset(style: TextStyle) -> float:
    """Return the distance, in pixels, from the letters of a complete style to the edge of everything drawn."""
    stroke = style.stroke_width or 0.0
    boxed = style.background_color is not None
    drawn = max(stroke, style.padding or 0.0) if boxed else stroke + (style.shadow or 0.0)
    return drawn + _RENDERER_TOLERANCE
