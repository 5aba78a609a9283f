"""The red balloon that appears in every scene."""

import math

from PIL import Image, ImageDraw, ImageFilter

from callsheet.cli.demo import paper

RED, CREAM, WICKER, ROPE = "#d8412f", "#fbe7c6", "#8a5a3c", "#5c3a2e"
_DARK_RED = "#b02a2b"


def balloon(height: int, *, glow: bool = False) -> Image.Image:
    """Return a balloon with a height in pixels; `glow` lights it from inside, for the night scene."""
    margin = height // 3 if glow else height // 12
    width = round(height * 0.72)
    size = (width + 2 * margin, height + 2 * margin)
    image = Image.new("RGBA", size)
    if glow:
        image.alpha_composite(_halo(size, margin, width, height))
    k = 4
    body = Image.new("RGBA", (size[0] * k, size[1] * k))
    _draw(ImageDraw.Draw(body), (margin + width / 2) * k, margin * k, width * k, height * k, glow)
    body = body.reduce(k)
    shadow = Image.new("RGBA", size, paper.SHADOW)
    blurred = body.getchannel("A").filter(ImageFilter.GaussianBlur(height / 40))
    shadow.putalpha(blurred.point([v * 35 // 100 for v in range(256)]))
    image.alpha_composite(shadow)
    image.alpha_composite(body)
    return image


def _draw(draw: ImageDraw.ImageDraw, center: float, top: float, width: float, height: float, glow: bool) -> None:
    red, cream = ("#ff6a3d", "#ffe9b0") if glow else (RED, CREAM)
    gores = 7
    for index in range(gores):
        left, right = -1 + 2 * index / gores, -1 + 2 * (index + 1) / gores
        color = red if index % 2 == 0 else cream
        if not glow and index in (0, gores - 1):
            color = _DARK_RED
        draw.polygon(_gore(center, top, width, height * 0.76, left, right), fill=color)
    neck, basket = top + height * 0.76, top + height * 0.88
    for side in (-1, 1):
        start = (center + side * width * 0.13, neck - 2)
        draw.line([start, (center + side * width * 0.09, basket)], fill=ROPE, width=max(1, int(height / 110)))
    half = width * 0.105
    draw.rounded_rectangle(
        [center - half, basket, center + half, top + height], radius=half * 0.45, fill="#6d3f2c" if glow else WICKER
    )
    draw.rounded_rectangle(
        [center - half * 1.15, basket, center + half * 1.15, basket + height * 0.022], radius=half * 0.2, fill=ROPE
    )


def _gore(center: float, top: float, width: float, height: float, left: float, right: float) -> paper.Points:
    """Return one strip of the envelope, with edges curved like meridians of a globe."""
    steps = [i / 48 for i in range(49)]
    outline = [(_half_width(s) * width / 2, top + s * height) for s in steps]
    down = [(center + math.sin(left * math.pi / 2) * half, y) for half, y in outline]
    up = [(center + math.sin(right * math.pi / 2) * half, y) for half, y in reversed(outline)]
    return [*down, *up]


def _half_width(s: float) -> float:
    """Return half the width of the envelope (at most 1) at height `s`, from the crown (0) to the neck (1)."""
    if s < 0.42:
        return math.sqrt(max(0.0, 1 - ((0.42 - s) / 0.42) ** 2))
    lower = (s - 0.42) / 0.58
    return float(0.26 + 0.74 * max(0.0, math.cos(lower * math.pi / 2)) ** 0.85)


def _halo(size: tuple[int, int], margin: int, width: int, height: int) -> Image.Image:
    halo = Image.new("RGBA", size, "#ff9a4d")
    shape = Image.new("L", size)
    box = [margin - width * 0.05, margin, margin + width * 1.05, margin + height * 0.8]
    ImageDraw.Draw(shape).ellipse(box, fill=120)
    halo.putalpha(shape.filter(ImageFilter.GaussianBlur(margin / 2.4)))
    return halo
