"""Serialization of text styles to ASS."""

from callsheet.media.subtitles.style import TextStyle

_SHADOW_OPACITY = 0.55


def ass_style_line(
    style: TextStyle, *, size: float, anchor: int, margins: tuple[int, int, int], opacity: float, rotation: float
) -> str:
    """Return the fields of an ASS style line after its name.

    `style` must have its defaults set. `size` is the line height in pixels, `anchor` an ASS alignment from 1 to 9,
    `margins` the left, right and vertical margin in pixels, `rotation` in degrees clockwise.
    """
    boxed = style.background_color is not None
    # ASS has no box fields: the shadow color is the color of the box, and the shadow depth its padding.
    if boxed:
        back_color, back_opacity = style.background_color, style.background_opacity
    else:
        back_color, back_opacity = style.shadow_color, _SHADOW_OPACITY
    primary = style.highlight_color if style.effect == "karaoke" else style.color
    fields = [
        *(style.font_family, f"{size:.1f}"),
        *(_ass_color(primary, opacity), _ass_color(style.color, opacity), _ass_color(style.stroke_color, opacity)),
        _ass_color(back_color, back_opacity * opacity),
        *("-1" if style.font_weight > 550 else "0", "-1" if style.italic else "0", "0", "0", "100", "100"),
        *(f"{style.letter_spacing:.1f}", f"{-rotation if rotation else 0:.1f}"),
        *("4" if boxed else "1", f"{style.stroke_width or 0:.2f}"),
        f"{(style.padding if boxed else style.shadow) or 0:.2f}",
        *(str(anchor), *map(str, margins)),
        "-1",  # encoding -1: libass detects the base direction from the whole text
    ]
    return ",".join(fields)


def _ass_color(color: str | None, opacity: float = 1.0) -> str:
    red, green, blue = (color or "#000000")[1:3], (color or "#000000")[3:5], (color or "#000000")[5:7]
    return f"&H{round(255 * (1 - opacity)):02X}{blue}{green}{red}".upper()


def ass_tag_color(color: str) -> str:
    """Return `#rrggbb` in the format of ASS override tags."""
    return f"&H{_ass_color(color)[4:]}&"
