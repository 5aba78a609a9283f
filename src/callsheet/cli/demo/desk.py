"""The still image of the demo film: a desk with the call sheet of the demo's own plan."""

import math
import random
from functools import cache

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from callsheet.cli.demo import paper
from callsheet.cli.demo.pictures.balloon import balloon
from callsheet.media.fonts import FONTS

SIZE = (1296, 2304)
"""20% larger than the frames of the film, so that a zoom keeps full resolution."""

INK, FAINT, RULE, RED, PAPER = "#2a2350", "#8b7f95", "#d9c7b4", "#d8412f", "#fdf3e1"

ROWS = [
    ("06:10", "dawn", "a sea of paper", "done"),
    ("11:30", "mountains", "a ride by day", "done"),
    ("15:45", "sheet", "the one you see", "done"),
    ("21:20", "city", "lights go on", "done"),
    ("all day", "music", "eight bars in D", "done"),
    ("then", "film", "cut, titled, mixed", "now"),
    ("at last", "web, stills", "ready to send", "next"),
]


def desk() -> Image.Image:
    """Return the desk seen from above: call sheet, clapperboard, pencil and a cup of tea."""
    wood = paper.grained(paper.gradient(SIZE, [(0, "#4a2f5f"), (0.55, "#38255a"), (1, "#231b4a")]), seed=61)
    image = wood.convert("RGBA")
    _place(image, _cup(), (1110, 330), 0)
    _place(image, _sheet(), (640, 1085), -2.2)
    _place(image, _clapper(), (420, 300), -7)
    _place(image, _pencil(), (1100, 1760), 52)
    return image.convert("RGB")


def _place(desk: Image.Image, item: Image.Image, center: tuple[int, int], degrees: float) -> None:
    rotated = item.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    shadow = Image.new("RGBA", rotated.size, paper.SHADOW)
    shadow.putalpha(
        rotated.getchannel("A").filter(ImageFilter.GaussianBlur(16)).point([v * 55 // 100 for v in range(256)])
    )
    paper.paste_centered(desk, shadow, (center[0] + 8, center[1] + 16))
    paper.paste_centered(desk, rotated, center)


@cache
def _font(size: int, style: str = "Regular") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"Inter-{style}.otf", size)


def _sheet() -> Image.Image:
    size, edge = (1010, 1290), 40
    full = (size[0] + 2 * edge, size[1] + 2 * edge)
    image = Image.new("RGBA", full)
    page = paper.grained(Image.new("RGB", size, PAPER), strength=4, seed=70).convert("RGBA")
    image.paste(page, (edge, edge))
    draw = ImageDraw.Draw(image)
    left, right, y = edge + 70, edge + size[0] - 70, edge + 190
    draw.text((left, y), "CALL SHEET", INK, _font(104, "Bold"), anchor="ls")
    draw.text((left, y + 62), "A day in paper", FAINT, _font(42), anchor="ls")
    draw.text((right, y + 62), "day 1 of 1", FAINT, _font(42), anchor="rs")
    draw.line([(left, y + 100), (right, y + 100)], INK, 6)
    for index, row in enumerate(ROWS):
        _row(image, draw, row, (left, right), y + 172 + index * 102, seed=index)
    _stamp(image, (edge + 790, edge + 1128))
    draw.text((left, edge + 1146), "Made on", FAINT, _font(38), anchor="ls")
    draw.text((left, edge + 1202), "this machine", INK, _font(50, "Bold"), anchor="ls")
    return image


def _row(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    row: tuple[str, str, str, str],
    columns: tuple[int, int],
    y: int,
    *,
    seed: int,
) -> None:
    (left, right), (when, name, what, state) = columns, row
    draw.text((left, y), when, FAINT, _font(36), anchor="ls")
    draw.text((left + 160, y), name, INK, _font(46, "Bold"), anchor="ls")
    draw.text((left + 430, y), what, FAINT, _font(40), anchor="ls")
    draw.line([(left, y + 36), (right, y + 36)], RULE, 2)
    box = (right - 56, y - 44)
    draw.rounded_rectangle([*box, box[0] + 52, box[1] + 52], 10, outline=FAINT, width=3)
    if state == "done":
        _check_mark(image, box, seed)
    elif state == "now":
        draw.ellipse([box[0] + 14, box[1] + 14, box[0] + 38, box[1] + 38], fill=RED)


def _check_mark(image: Image.Image, box: tuple[int, int], seed: int) -> None:
    """Draw a hand-drawn check mark in red."""
    rng = random.Random(seed)  # noqa: S311 - not a secret
    k, side = 4, 110
    stroke = Image.new("RGBA", (side * k, side * k))
    points = [(22, 54), (44 + rng.uniform(-4, 4), 80), (96 + rng.uniform(-6, 6), 8 + rng.uniform(0, 12))]
    ImageDraw.Draw(stroke).line([(x * k, y * k) for x, y in points], RED, 9 * k, joint="curve")
    image.alpha_composite(stroke.reduce(k), (box[0] - 20, box[1] - 26))


def _stamp(image: Image.Image, center: tuple[int, int]) -> None:
    """Draw a round stamp with the balloon."""
    k, side = 3, 300
    stamp = Image.new("RGBA", (side * k, side * k))
    draw = ImageDraw.Draw(stamp)
    draw.ellipse([6 * k, 6 * k, (side - 6) * k, (side - 6) * k], outline=RED, width=7 * k)
    draw.ellipse([20 * k, 20 * k, (side - 20) * k, (side - 20) * k], outline=RED, width=2 * k)
    stamp = stamp.reduce(k)
    paper.paste_centered(stamp, balloon(210), (side / 2, side / 2))
    stamp.putalpha(stamp.getchannel("A").point([v * 88 // 100 for v in range(256)]))
    paper.paste_centered(image, stamp.rotate(11, Image.Resampling.BICUBIC, expand=True), center)


def _clapper() -> Image.Image:
    size = (640, 440)
    image = Image.new("RGBA", size)
    board = paper.mask(size, lambda d, k: d.rounded_rectangle([20 * k, 130 * k, 620 * k, 420 * k], 18 * k, 255))
    image.alpha_composite(paper.sheet(board, [(0, "#26304f"), (1, "#1b2340")], shadow=10, seed=80))
    draw = ImageDraw.Draw(image)
    for y in (226, 322):
        draw.line([(44, y), (596, y)], "#5c6a90", 3)
    draw.line([(322, 226), (322, 396)], "#5c6a90", 3)
    for x, y, label, text in (
        (48, 150, "production", "A day in paper"),
        (48, 244, "scene", "3"),
        (346, 244, "take", "1"),
        (48, 336, "director", "you"),
        (346, 336, "crew", "callsheet"),
    ):
        draw.text((x, y), label, "#8f9cc0", _font(20), anchor="lt")
        draw.text((x, y + 64), text, PAPER, _font(44, "Bold"), anchor="ls")
    image.alpha_composite(_sticks())
    return image


def _sticks() -> Image.Image:
    """Draw the striped bar of the clapperboard, slightly open."""
    size = (640, 440)
    bar = Image.new("RGBA", (600, 70))
    shape = paper.mask((600, 70), lambda d, k: d.rounded_rectangle([0, 4 * k, 600 * k, 66 * k], 12 * k, 255))
    stripes = Image.new("RGB", (600, 70), PAPER)
    draw = ImageDraw.Draw(stripes)
    for x in range(-40, 640, 120):
        draw.polygon([(x, 70), (x + 60, 70), (x + 100, 0), (x + 40, 0)], fill="#1b2340")
    bar.paste(paper.grained(stripes, seed=82), (0, 0), shape)
    image = Image.new("RGBA", size)
    image.alpha_composite(bar, (20, 62))
    return image.rotate(5, Image.Resampling.BICUBIC, center=(30, 120))


def _pencil() -> Image.Image:
    image = Image.new("RGBA", (620, 60))
    k = 3
    large = Image.new("RGBA", (620 * k, 60 * k))
    draw = ImageDraw.Draw(large)
    draw.rounded_rectangle([0, 8 * k, 60 * k, 52 * k], 12 * k, fill="#f2a79a")
    draw.rectangle([46 * k, 8 * k, 84 * k, 52 * k], fill="#c9c3c9")
    for top, color in ((8, "#e8584a"), (23, "#d8412f"), (38, "#b02a2b")):
        draw.rectangle([84 * k, top * k, 510 * k, (top + 15) * k - 1], fill=color)
    draw.polygon([(510 * k, 8 * k), (600 * k, 27 * k), (600 * k, 33 * k), (510 * k, 52 * k)], fill="#f3d3a4")
    draw.polygon([(574 * k, 21 * k), (612 * k, 30 * k), (574 * k, 39 * k)], fill=RED)
    image.alpha_composite(large.reduce(k))
    return image


def _cup() -> Image.Image:
    """Draw a cup of tea on a saucer."""
    image = Image.new("RGBA", (420, 420))
    rings = [
        (200, "#e9d6c0"),
        (188, "#f7e9d6"),
        (150, "#ead6c1"),
        (128, "#fff4e4"),
        (112, "#8d4a2f"),
        (104, "#a75c36"),
    ]
    for radius, color in rings:
        paper.paste_centered(image, paper.disc(radius, color), (210, 210))
    draw = ImageDraw.Draw(image)
    for index in range(3):
        angle = math.radians(200 + 18 * index)
        x, y = 210 + 70 * math.cos(angle), 210 + 70 * math.sin(angle)
        draw.ellipse([x - 9, y - 5, x + 9, y + 5], fill="#c98352")
    return image
