"""Images of cut paper: colored sheets with a grain, a lit edge and a drop shadow."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1080, 1920
SHADOW = "#120d2b"

Points = Sequence[tuple[float, float]]
Draw = Callable[[ImageDraw.ImageDraw, int], None]
"""Draws a shape in white. The second argument is the factor for all coordinates (oversampling)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an animation. `x`, `y` and `visible` are FFmpeg expressions of the time `t` or the frame `n`."""

    image: Image.Image
    x: str = "0"
    y: str = "0"
    visible: str | None = None
    """The layer is visible while this is not 0. None: always."""


def gradient(size: tuple[int, int], stops: Sequence[tuple[float, str]]) -> Image.Image:
    """Return a vertical gradient. Each stop is a position, from 0 at the top to 1, and a color."""
    height = size[1]
    column = Image.new("RGB", (1, height))
    column.putdata([_color_at(y / max(1, height - 1), stops) for y in range(height)])
    return column.resize(size)


def _color_at(position: float, stops: Sequence[tuple[float, str]]) -> tuple[int, ...]:
    upper = next((i for i, (at, _) in enumerate(stops) if at >= position), len(stops) - 1)
    (start, first), (end, second) = stops[max(0, upper - 1)], stops[upper]
    fraction = (position - start) / (end - start) if end > start else 1.0
    pairs = zip(ImageColor.getrgb(first), ImageColor.getrgb(second), strict=True)
    return tuple(round(a + (b - a) * fraction) for a, b in pairs)


def grained(image: Image.Image, *, strength: float = 5, seed: int = 1) -> Image.Image:
    """Return the image with paper grain, which also hides banding in gradients."""
    fine = _noise(image.size, strength, seed)
    coarse = _noise((image.width // 6 + 1, image.height // 3 + 1), strength, seed + 1)
    noise = ImageChops.add(fine, coarse.resize(image.size, Image.Resampling.BICUBIC), 1, -128)
    return ImageChops.add(image, Image.merge("RGB", [noise] * 3), 1, -128)


def _noise(size: tuple[int, int], strength: float, seed: int) -> Image.Image:
    data = random.Random(seed).randbytes(size[0] * size[1])  # noqa: S311 - not a secret
    return Image.frombytes("L", size, data).point([round(128 + (v - 127.5) * strength / 127.5) for v in range(256)])


def mask(size: tuple[int, int], draw: Draw, *, oversampling: int = 3) -> Image.Image:
    """Return the antialiased mask of a shape."""
    large = Image.new("L", (size[0] * oversampling, size[1] * oversampling))
    draw(ImageDraw.Draw(large), oversampling)
    return large.reduce(oversampling)


def sheet(
    shape: Image.Image,
    stops: Sequence[tuple[float, str]],
    *,
    seed: int = 1,
    shadow: int = 22,
    depth: float = 0.42,
    edge: int = 3,
    light: int = 26,
) -> Image.Image:
    """Return a sheet of paper in the form of `shape`.

    `shadow` is the blur of the drop shadow, and `edge` the height of the lit edge, both in pixels.
    """
    paper = grained(gradient(shape.size, stops), seed=seed)
    below = ImageChops.offset(shape, 0, edge)
    below.paste(0, (0, 0, shape.width, edge))
    lit = ImageChops.subtract(shape, below).point([v * light // 255 for v in range(256)])
    paper = ImageChops.add(paper, Image.merge("RGB", [lit] * 3))
    cast = shape.filter(ImageFilter.GaussianBlur(shadow / 2)).point([round(v * depth) for v in range(256)])
    under = Image.new("RGBA", shape.size, SHADOW)
    under.putalpha(cast)
    over = paper.convert("RGBA")
    over.putalpha(shape)
    return Image.alpha_composite(under, over)


def polygon(points: Points) -> Draw:
    """Return a function that draws the polygon."""

    def draw(canvas: ImageDraw.ImageDraw, k: int) -> None:
        canvas.polygon([(x * k, y * k) for x, y in points], fill=255)

    return draw


def disc(radius: float, color: str, *, opacity: float = 1.0, feather: float = 0) -> Image.Image:
    """Return a disc without a shadow. `feather` is the blur of its edge, in pixels."""
    side = round(2 * (radius + 2 * feather)) + 4
    low, high = side / 2 - radius, side / 2 + radius
    shape = mask((side, side), lambda d, k: d.ellipse([low * k, low * k, high * k, high * k], fill=255))
    if feather:
        shape = shape.filter(ImageFilter.GaussianBlur(feather))
    image = grained(Image.new("RGB", (side, side), color), strength=3)
    image.putalpha(shape.point([round(v * opacity) for v in range(256)]))
    return image


def paste_centered(canvas: Image.Image, image: Image.Image, center: tuple[float, float]) -> None:
    """Composite an image onto an RGBA canvas at its center; parts outside of the canvas are cropped."""
    x, y = round(center[0] - image.width / 2), round(center[1] - image.height / 2)
    left, top = max(0, -x), max(0, -y)
    if left < image.width and top < image.height and x < canvas.width and y < canvas.height:
        canvas.alpha_composite(image, (max(0, x), max(0, y)), (left, top))
