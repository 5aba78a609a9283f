"""Dawn over a sea of paper waves."""

import math

from PIL import Image, ImageDraw

from callsheet.cli.demo import paper
from callsheet.cli.demo.paper import HEIGHT, WIDTH, Layer
from callsheet.cli.demo.pictures.balloon import balloon

SKY = [(0, "#3b2a5c"), (0.22, "#84406f"), (0.42, "#dd6a63"), (0.56, "#f6a06f"), (0.66, "#fcd29a"), (1, "#fde3b8")]
WAVES = [
    # top, wave height, wave length, upper color, lower color, drift in pixels per frame
    (1180, 12, 150, "#f0a585", "#d9787b", 1),
    (1245, 18, 190, "#d2757f", "#a9506f", -1),
    (1330, 24, 236, "#9a4a74", "#6d3a6b", 2),
    (1440, 32, 290, "#5f3a70", "#3d2d5f", -2),
    (1590, 42, 360, "#363062", "#1c1f47", 3),
]


def dawn(seconds: float) -> list[Layer]:
    """Return the layers: the sun and a balloon rise over waves."""
    sky = paper.grained(paper.gradient((WIDTH, HEIGHT), SKY)).convert("RGBA")
    layers = [Layer(sky), Layer(_sun(), str((WIDTH - 1120) // 2), "640-n"), *_clouds()]
    layers.append(Layer(balloon(330), "640+round(10*sin(t*1.1))", "1010-2*n"))
    for index, wave in enumerate(WAVES):
        layers.append(_wave(*wave, seconds=seconds, seed=index))
        if index == 2:
            layers.append(Layer(_boat(), "190+n", "1292+round(9*sin(t*1.9))"))
    return layers


def _sun() -> Image.Image:
    image = Image.new("RGBA", (1120, 1120))
    for radius, color, opacity in ((540, "#ffd9a0", 0.16), (400, "#ffdf9f", 0.22), (290, "#ffe6a8", 0.32)):
        paper.paste_centered(image, paper.disc(radius, color, opacity=opacity), (560, 560))
    paper.paste_centered(image, paper.disc(196, "#fff3c9"), (560, 560))
    return image


def _clouds() -> list[Layer]:
    return [
        Layer(_cloud(620, "#f7b08c", 0.85, 3), "-150+n", "760"),
        Layer(_cloud(520, "#c9627a", 0.7, 5), "700-n", "610"),
        Layer(_cloud(760, "#7c4476", 0.75, 8), "-260+n", "250"),
        Layer(_cloud(560, "#64396b", 0.8, 9), "690-n", "120"),
    ]


def _cloud(width: int, color: str, opacity: float, seed: int) -> Image.Image:
    """Return a cloud with a flat base."""
    height = width // 4
    bumps = [(0.2, 0.34), (0.4, 0.62 + 0.03 * (seed % 3)), (0.6, 0.5), (0.8, 0.28)]

    def draw(canvas: ImageDraw.ImageDraw, k: int) -> None:
        base = height * 0.82
        canvas.rounded_rectangle(
            [width * 0.06 * k, (base - height * 0.2) * k, width * 0.94 * k, base * k], base * k * 0.12, 255
        )
        for where, size in bumps:
            radius = height * size * 0.72
            box = [
                width * where - radius * 1.25,
                base - radius * 1.1,
                width * where + radius * 1.25,
                base + radius * 0.9,
            ]
            canvas.chord([v * k for v in box], 180, 360, fill=255)

    shape = paper.mask((width, height), draw)
    image = paper.sheet(shape, [(0, color), (1, color)], seed=seed, depth=0.2)
    image.putalpha(image.getchannel("A").point([round(v * opacity) for v in range(256)]))
    return image


def _wave(top: int, crest: int, length: int, upper: str, lower: str, drift: int, *, seconds: float, seed: int) -> Layer:
    travel = math.ceil(abs(drift) * 30 * seconds) + 4
    size = (WIDTH + travel, HEIGHT - top + 2 * crest)
    edge = [(x, 2 * crest - _scallop(x, length, crest)) for x in range(0, size[0] + 4, 4)]
    shape = paper.mask(size, paper.polygon([*edge, (size[0], size[1]), (0, size[1])]), oversampling=2)
    image = paper.sheet(shape, [(0, upper), (0.75, lower), (1, lower)], seed=20 + seed, shadow=26)
    x = f"{-travel}+{drift}*n" if drift > 0 else f"{drift}*n"
    return Layer(image, x, str(top - 2 * crest))


def _scallop(x: float, length: float, crest: float) -> float:
    """Return the height of a scalloped wave with a long swell at `x`."""
    phase = (x % length) / length
    return crest * (1 - math.sin(math.pi * phase)) + crest * 0.45 * math.sin(x * 2 * math.pi / (length * 3.7))


def _boat() -> Image.Image:
    """Return a folded paper boat."""
    size = (210, 150)
    image = Image.new("RGBA", size)
    parts = [
        ([(105, 14), (58, 92), (105, 92)], "#fff6e6"),
        ([(105, 14), (105, 92), (152, 92)], "#e9cdb4"),
        ([(8, 78), (62, 136), (105, 104)], "#f3dcc2"),
        ([(202, 78), (148, 136), (105, 104)], "#d9b69c"),
        ([(105, 92), (62, 136), (148, 136)], "#fff1dc"),
    ]
    for points, color in parts:
        shape = paper.mask(size, paper.polygon(points), oversampling=4)
        image.alpha_composite(paper.sheet(shape, [(0, color), (1, color)], shadow=8, depth=0.12, edge=1))
    return image
