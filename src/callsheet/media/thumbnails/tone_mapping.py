"""Bringing pictures of high dynamic range to ordinary screens."""

import math
from functools import cache

from PIL import Image, ImageFilter

PQ, HLG = 16, 18
"""SMPTE ST 2084 and ARIB STD-B67, by their numbers in ITU-T H.273."""

_STEPS = 33
_PEAK = 10.0
"""Brightest light that is told apart; 1 is the white of an ordinary screen, 100 cd/m²."""

_TO_BT709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
"""From the primaries of BT.2020, in linear light."""

_SCREEN_GAMMA = 2.4
"""Of an ordinary screen, by BT.1886."""


def to_sdr(image: Image.Image, transfer: int) -> Image.Image:
    """Return a picture as seen on an ordinary screen; `transfer` is how light is written in it.

    It looks as a film does that FFmpeg's `zscale` and `tonemap=hable` bring there.
    """
    return image.filter(_table(transfer)) if transfer in (PQ, HLG) else image


@cache
def _table(transfer: int) -> ImageFilter.Color3DLUT:
    read = _read_pq if transfer == PQ else _read_hlg

    def mapped(red: float, green: float, blue: float) -> tuple[float, float, float]:
        wide = [min(_PEAK, light) for light in read(red, green, blue)]
        narrow = [max(0.0, sum(w * c for w, c in zip(row, wide, strict=True))) for row in _TO_BT709]
        brightest = max(*narrow, 1e-6)
        factor = _hable(brightest) / _hable(_PEAK) / brightest
        red, green, blue = (min(1.0, light * factor) ** (1 / _SCREEN_GAMMA) for light in narrow)
        return red, green, blue

    return ImageFilter.Color3DLUT.generate(_STEPS, mapped)


def _read_pq(*values: float) -> list[float]:
    roots = [value ** (1 / 78.84375) for value in values]
    return [100 * (max(r - 0.8359375, 0.0) / (18.8515625 - 18.6875 * r)) ** (1 / 0.1593017578125) for r in roots]


def _read_hlg(*values: float) -> list[float]:
    scene = [v * v / 3 if v <= 0.5 else (math.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12 for v in values]
    # A screen of 1000 cd/m² shows a scene with a gamma of 1.2; `zscale` takes it for each colour by itself.
    return [_PEAK * light**1.2 for light in scene]


def _hable(light: float) -> float:
    """Hable's curve: dark and middle tones nearly as they are, highlights pressed together."""
    numerator = light * (0.15 * light + 0.05) + 0.004
    return numerator / (light * (0.15 * light + 0.5) + 0.06) - 0.02 / 0.3
