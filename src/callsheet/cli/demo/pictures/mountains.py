"""Paper mountains in daylight."""

import math
import random
from itertools import pairwise

from PIL import Image, ImageDraw

from callsheet.cli.demo import paper
from callsheet.cli.demo.paper import HEIGHT, WIDTH, Layer
from callsheet.cli.demo.pictures.balloon import balloon

SKY = [(0, "#4fa3b5"), (0.3, "#8fc9c6"), (0.55, "#e4e6cd"), (0.7, "#fbe9c9"), (1, "#fbe9c9")]
RIDGES = [
    # top, peak height, peak width, upper color, lower color, drift in pixels per frame
    (760, 210, 430, "#b9d6cb", "#e9e8d0", 1),
    (930, 230, 380, "#86bab6", "#c6dccb", 2),
    (1110, 220, 330, "#4f989d", "#93bfb5", 3),
    (1300, 200, 300, "#2b727f", "#4f9390", 4),
]


def mountains(seconds: float) -> list[Layer]:
    """Return the layers: ridges drift by, the near ones faster, under a balloon."""
    sky = paper.grained(paper.gradient((WIDTH, HEIGHT), SKY)).convert("RGBA")
    layers = [Layer(sky), Layer(_sun(), "560", "170")]
    for index, ridge in enumerate(RIDGES):
        layers.append(_ridge(*ridge, seconds=seconds, seed=index))
        if index == 0:
            layers.append(Layer(_birds(), "760-2*n", "520+round(8*sin(t*1.3))"))
        if index == 1:
            layers.append(Layer(balloon(520), "570-2*n", "690-2*n+round(8*sin(t*1.2))"))
    layers.append(_forest(seconds))
    return layers


def _sun() -> Image.Image:
    image = Image.new("RGBA", (620, 620))
    for radius, opacity in ((300, 0.18), (220, 0.28)):
        paper.paste_centered(image, paper.disc(radius, "#fff3d2", opacity=opacity), (310, 310))
    paper.paste_centered(image, paper.disc(140, "#fff7e0"), (310, 310))
    return image


def _ridge(
    top: int, peaks: int, length: int, upper: str, lower: str, drift: int, *, seconds: float, seed: int
) -> Layer:
    travel = math.ceil(drift * 30 * seconds) + 4
    size = (WIDTH + travel, HEIGHT - top + peaks)
    line = _peaks(size[0], length, peaks, random.Random(40 + seed))  # noqa: S311 - not a secret
    shape = paper.mask(size, paper.polygon([*line, (size[0], size[1]), (0, size[1])]), oversampling=2)
    image = paper.sheet(shape, [(0, upper), (0.62, lower), (1, lower)], seed=60 + seed, shadow=30, depth=0.3)
    return Layer(image, f"-{drift}*n", str(top - peaks))


def _peaks(width: int, length: int, height: int, rng: random.Random) -> list[tuple[float, float]]:
    """Return a line of peaks and saddles with small crags; 0 is the highest."""
    corners: list[tuple[float, float]] = []
    x, high = -length / 2, False
    while x < width + length:
        low, top = (0.05, 0.45) if high else (0.75, 1.0)
        corners.append((x, height * rng.uniform(low, top)))
        x, high = x + length * rng.uniform(0.35, 0.65), not high
    line: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        line += [(x0, y0), *_crags(x0, y0, x1, y1, rng)]
    return line


def _crags(x0: float, y0: float, x1: float, y1: float, rng: random.Random) -> list[tuple[float, float]]:
    steps = 5
    reach = abs(y1 - y0) * 0.10
    return [
        (x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps + rng.uniform(-reach, reach)) for i in range(1, steps)
    ]


def _birds() -> Image.Image:
    """Return five small birds."""
    size = (330, 170)

    def draw(canvas: ImageDraw.ImageDraw, k: int) -> None:
        for x, y, span in ((40, 90, 30), (110, 50, 36), (180, 92, 30), (230, 40, 26), (284, 110, 24)):
            left = [(x - span, y - span * 0.35), (x - span * 0.4, y - span * 0.42), (x, y)]
            right = [(x + span, y - span * 0.35), (x + span * 0.4, y - span * 0.42), (x, y)]
            for wing in (left, right):
                canvas.line([(px * k, py * k) for px, py in wing], fill=255, width=5 * k, joint="curve")

    return paper.sheet(paper.mask(size, draw), [(0, "#24505c"), (1, "#24505c")], shadow=6, depth=0.15, edge=0)


def _forest(seconds: float) -> Layer:
    drift, top = 7, 1480
    travel = math.ceil(drift * 30 * seconds) + 4
    size = (WIDTH + travel, HEIGHT - top)
    rng = random.Random(7)  # noqa: S311 - not a secret

    def draw(canvas: ImageDraw.ImageDraw, k: int) -> None:
        ground = [(x, _ground(x)) for x in range(0, size[0] + 10, 10)]
        canvas.polygon([(x * k, y * k) for x, y in [*ground, (size[0], size[1]), (0, size[1])]], fill=255)
        x = -20.0
        while x < size[0] + 60:
            height = rng.uniform(130, 235)
            _pine(canvas, k, x, _ground(x) + 14, height)
            x += rng.uniform(34, 92)

    shape = paper.mask(size, draw, oversampling=2)
    image = paper.sheet(shape, [(0, "#1d5560"), (0.5, "#143f4d"), (1, "#102f3f")], seed=77, shadow=26, depth=0.4)
    return Layer(image, f"-{drift}*n", str(top))


def _ground(x: float) -> float:
    return 230 + 26 * math.sin(x / 210) + 12 * math.sin(x / 67)


def _pine(canvas: ImageDraw.ImageDraw, k: int, x: float, base: float, height: float) -> None:
    for tier in range(4):
        top = base - height + height * tier * 0.2
        half = height * (0.10 + 0.055 * tier)
        bottom = min(base, top + height * 0.34)
        canvas.polygon([(x * k, top * k), ((x - half) * k, bottom * k), ((x + half) * k, bottom * k)], fill=255)
    canvas.rectangle([(x - 4) * k, (base - height * 0.15) * k, (x + 4) * k, (base + 20) * k], fill=255)
