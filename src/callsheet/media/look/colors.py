"""Names of colors."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from PIL import Image

_HUES = (
    (15, "red"),
    (40, "orange"),
    (70, "yellow"),
    (160, "green"),
    (195, "turquoise"),
    (255, "blue"),
    (290, "purple"),
    (345, "pink"),
    (361, "red"),
)
"""Upper ends of the hues, in degrees."""
_MIN_SHARE = 0.12
_MAX_NAMES = 3


def color_name(hue: int, saturation: int, value: int) -> str:
    """Return the name of a color; hue, saturation and value are from 0 to 255."""
    if value < 45:
        return "black"
    if saturation < 38:
        return "white" if value > 205 else "gray"
    degrees = hue * 360 / 255
    if 15 <= degrees < 50 and value < 160:
        return "brown"
    return next(name for end, name in _HUES if degrees < end)


def dominant_colors(frames: Iterable[Image.Image]) -> list[str]:
    """Return the names of at most three colors that cover an eighth of the frames or more; the largest first."""
    shares: Counter[str] = Counter()
    for frame in frames:
        pixels: Any = frame.convert("HSV").getcolors(maxcolors=frame.width * frame.height)
        for count, color in pixels:
            shares[color_name(*color)] += count
    total = shares.total()
    common = [name for name, count in shares.most_common(_MAX_NAMES) if count >= _MIN_SHARE * total]
    return common or [name for name, _ in shares.most_common(1)]
