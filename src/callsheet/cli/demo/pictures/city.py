"""A paper city at night, with windows that light up."""

import math
import random

from PIL import Image, ImageDraw, ImageFilter

from callsheet.cli.demo import paper
from callsheet.cli.demo.paper import HEIGHT, WIDTH, Layer
from callsheet.cli.demo.pictures.balloon import balloon

SKY = [(0, "#10123a"), (0.3, "#232058"), (0.5, "#4b2f72"), (0.64, "#8d4577"), (0.72, "#c9626f"), (1, "#c9626f")]
SHORE = 1420
"""Height of the river bank, in pixels."""

Window = tuple[int, int, int, int]


def city(seconds: float) -> list[Layer]:
    """Return the layers: windows light up in groups while a glowing balloon passes the moon."""
    sky = paper.grained(paper.gradient((WIDTH, HEIGHT), SKY)).convert("RGBA")
    sky.alpha_composite(_stars())
    layers = [Layer(sky), Layer(_moon(), "100", "300-n")]
    far, _ = _houses(WIDTH + 160, 540, (70, 120), "#5d3b78", "#8d4f7d", seed=3)
    layers.append(Layer(far, "-n", str(SHORE - 540)))
    middle, small = _houses(WIDTH + 300, 470, (96, 150), "#3a2b66", "#5a3a73", seed=9)
    layers.append(Layer(middle, "-2*n", str(SHORE - 470)))
    layers += _lights(small, middle.size, "-2*n", SHORE - 470, seconds, seed=2)
    layers.append(Layer(balloon(430, glow=True), "560-n", "560-n+round(10*sin(t*1.2))"))
    near, large = _houses(WIDTH + 440, 330, (120, 190), "#1f1b4b", "#2b2456", seed=21)
    layers.append(Layer(near, "-3*n", str(SHORE - 330)))
    layers += _lights(large, near.size, "-3*n", SHORE - 330, seconds, seed=5)
    return [*layers, *_river(seconds), *_quay()]


def _stars() -> Image.Image:
    rng = random.Random(12)  # noqa: S311 - not a secret
    stars = Image.new("RGBA", (WIDTH * 2, HEIGHT * 2))
    draw = ImageDraw.Draw(stars)
    for _ in range(170):
        x, y, r = rng.uniform(0, WIDTH * 2), rng.uniform(0, 1500) ** 1.0, rng.choice([2, 2, 3, 3, 4, 6])
        draw.ellipse([x - r, y - r, x + r, y + r], fill=(255, 236, 200, rng.randint(70, 230)))
    return stars.reduce(2)


def _moon() -> Image.Image:
    image = Image.new("RGBA", (640, 640))
    for radius, opacity in ((310, 0.07), (230, 0.10)):
        paper.paste_centered(image, paper.disc(radius, "#ffe7c0", opacity=opacity), (320, 320))
    paper.paste_centered(image, paper.disc(150, "#fdebc8"), (320, 320))
    for x, y, radius in ((270, 280, 34), (350, 350, 46), (375, 262, 20), (290, 385, 18)):
        paper.paste_centered(image, paper.disc(radius, "#efd3a6", opacity=0.75), (x, y))
    return image


def _houses(
    width: int, height: int, breadth: tuple[int, int], upper: str, lower: str, *, seed: int
) -> tuple[Image.Image, list[Window]]:
    """Return a row of houses, and the positions of their windows."""
    rng = random.Random(seed)  # noqa: S311 - not a secret
    houses: list[tuple[int, int, int]] = []
    windows: list[Window] = []
    x = -20
    while x < width:
        across, top = rng.randint(*breadth), rng.randint(20, round(height * 0.55))
        houses.append((x, top, across))
        windows += _windows(x, top + 34, across, height, rng)
        x += across - 2

    def draw(canvas: ImageDraw.ImageDraw, k: int) -> None:
        for index, (left, top, across) in enumerate(houses):
            canvas.rectangle([left * k, top * k, (left + across) * k, height * k], fill=255)
            _roof(canvas, k, index, left, top, across)

    shape = paper.mask((width, height), draw, oversampling=2)
    image = paper.sheet(shape, [(0, upper), (1, lower)], seed=90 + seed, shadow=26, depth=0.4)
    return image, windows


def _roof(canvas: ImageDraw.ImageDraw, k: int, index: int, left: int, top: int, across: int) -> None:
    middle = left + across / 2
    kind = index % 4
    if kind == 0:
        canvas.polygon([(left * k, top * k), (middle * k, (top - 34) * k), ((left + across) * k, top * k)], fill=255)
    elif kind == 1:
        canvas.rectangle([(left + across * 0.2) * k, (top - 16) * k, (left + across * 0.8) * k, top * k], fill=255)
        canvas.rectangle([(middle - 2) * k, (top - 60) * k, (middle + 2) * k, top * k], fill=255)
    elif kind == 2:
        canvas.rectangle([(left + across * 0.62) * k, (top - 26) * k, (left + across * 0.82) * k, top * k], fill=255)


def _windows(left: int, top: int, across: int, height: int, rng: random.Random) -> list[Window]:
    pitch = rng.choice([30, 34, 38])
    columns = (across - 24) // pitch
    start = left + (across - columns * pitch) // 2 + (pitch - 15) // 2
    return [
        (start + column * pitch, y, 15, 21)
        for y in range(top, height - 30, pitch + 10)
        for column in range(columns)
        if rng.random() < 0.62
    ]


def _lights(windows: list[Window], size: tuple[int, int], x: str, y: int, seconds: float, *, seed: int) -> list[Layer]:
    """Return layers of lit windows that become visible one after another."""
    rng = random.Random(seed)  # noqa: S311 - not a secret
    groups = 6
    sheets = [Image.new("RGBA", size) for _ in range(groups)]
    for left, top, across, down in windows:
        draw = ImageDraw.Draw(sheets[min(groups - 1, int(rng.random() * (groups + 1)))])
        color = rng.choice(["#ffd37a", "#ffc25c", "#ffe2a0", "#ffb35a"])
        draw.rectangle([left, top, left + across, top + down], fill=color)
    return [
        Layer(_glowing(each), x, str(y), f"gte(t,{seconds * (0.5 * index / groups - 0.05):.3f})")
        for index, each in enumerate(sheets)
    ]


def _glowing(windows: Image.Image) -> Image.Image:
    shape = windows.getchannel("A")
    glow = Image.new("RGBA", windows.size, "#ff9d4a")
    glow.putalpha(shape.filter(ImageFilter.GaussianBlur(9)).point([min(255, v * 9 // 10) for v in range(256)]))
    return Image.alpha_composite(glow, windows)


def _quay() -> list[Layer]:
    """Return a road along the river, with headlights in both directions."""
    wall = paper.mask((WIDTH, 60), lambda d, k: d.rectangle([0, 14 * k, WIDTH * k, 46 * k], fill=255))
    road = paper.sheet(wall, [(0, "#15143c"), (1, "#15143c")], seed=41, shadow=16, depth=0.5)
    cars = [(-160, 9, "#fff0c0"), (-700, 8, "#fff0c0"), (1100, -7, "#ff6a4d"), (1560, -8, "#ff6a4d")]
    return [
        Layer(road, "0", str(SHORE - 26)),
        *(Layer(_headlights(color), f"{x}+{drift}*n", str(SHORE - 34)) for x, drift, color in cars),
    ]


def _headlights(color: str) -> Image.Image:
    image = Image.new("RGBA", (120, 40))
    for x in (46, 66):
        paper.paste_centered(image, paper.disc(9, color, opacity=0.55, feather=5), (x, 20))
        paper.paste_centered(image, paper.disc(4, "#fffaf0"), (x, 20))
    return image


def _river(seconds: float) -> list[Layer]:
    size = (WIDTH, HEIGHT - SHORE)
    water = paper.gradient(size, [(0, "#7d4474"), (0.25, "#4a3069"), (1, "#14143c")])
    layers = [Layer(paper.grained(water, seed=31).convert("RGBA"), "0", str(SHORE))]
    for index, (drop, drift) in enumerate(((6, 1), (60, -1), (130, 2), (220, -2), (320, 1))):
        layers.append(_glitter(drop, drift, seconds, index))
    return layers


def _glitter(drop: int, drift: int, seconds: float, seed: int) -> Layer:
    """Return reflections on the water, wider and sparser in the foreground."""
    rng = random.Random(50 + seed)  # noqa: S311 - not a secret
    travel = math.ceil(abs(drift) * 30 * seconds) + 4
    size = (WIDTH + travel, 110)
    strips = Image.new("RGBA", (size[0] * 2, size[1] * 2))
    draw = ImageDraw.Draw(strips)
    for _ in range(46 - 6 * seed):
        length, thick = rng.uniform(26, 70) * (1 + seed * 0.35), 3 + seed * 1.1
        x, y = rng.uniform(-40, size[0]), rng.uniform(4, size[1] - 12)
        color = rng.choice([(255, 200, 110), (255, 168, 96), (240, 140, 130), (255, 226, 170)])
        box = [x * 2, y * 2, (x + length) * 2, (y + thick) * 2]
        draw.rounded_rectangle(box, thick, fill=(*color, rng.randint(50, 190 - 22 * seed)))
    return Layer(strips.reduce(2), f"{-travel}+{drift}*n" if drift > 0 else f"{drift}*n", str(SHORE + drop))
