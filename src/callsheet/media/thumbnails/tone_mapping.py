"""Tone mapping of HDR images to SDR."""

import math
from functools import cache

from PIL import Image, ImageFilter

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)."""

_TABLE_SIZE = 33
"""Entries per axis of the color lookup table."""
_PEAK = 10.0
"""Maximum luminance; brighter light is clipped. 1 is SDR white, 100 cd/m²."""

_TO_BT709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
"""Conversion from BT.2020 primaries, in linear light."""

_SDR_GAMMA = 2.4
"""Gamma of an SDR display, by BT.1886."""


def to_sdr(image: Image.Image, transfer: int) -> Image.Image:
    """Return an image converted to SDR. `transfer` is its transfer characteristic; an SDR image is returned unchanged.

    The result matches FFmpeg's `zscale` and `tonemap=hable`.
    """
    return image.filter(_lookup_table(transfer)) if transfer in (PQ, HLG) else image


@cache
def _lookup_table(transfer: int) -> ImageFilter.Color3DLUT:
    to_linear = _pq_to_linear if transfer == PQ else _hlg_to_linear

    def tone_map(red: float, green: float, blue: float) -> tuple[float, float, float]:
        wide = [min(_PEAK, light) for light in to_linear(red, green, blue)]
        narrow = [max(0.0, sum(w * c for w, c in zip(row, wide, strict=True))) for row in _TO_BT709]
        brightest = max(*narrow, 1e-6)
        factor = _hable(brightest) / _hable(_PEAK) / brightest
        red, green, blue = (min(1.0, light * factor) ** (1 / _SDR_GAMMA) for light in narrow)
        return red, green, blue

    return ImageFilter.Color3DLUT.generate(_TABLE_SIZE, tone_map)


def _pq_to_linear(*values: float) -> list[float]:
    roots = [value ** (1 / 78.84375) for value in values]
    return [100 * (max(r - 0.8359375, 0.0) / (18.8515625 - 18.6875 * r)) ** (1 / 0.1593017578125) for r in roots]


def _hlg_to_linear(*values: float) -> list[float]:
    scene = [v * v / 3 if v <= 0.5 else (math.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12 for v in values]
    # A display of 1000 cd/m² has a system gamma of 1.2. zscale applies it to each color channel separately.
    return [_PEAK * light**1.2 for light in scene]


def _hable(light: float) -> float:
    """Return light on Hable's curve, which keeps shadows and midtones, and compresses highlights."""
    numerator = light * (0.15 * light + 0.05) + 0.004
    return numerator / (light * (0.15 * light + 0.5) + 0.06) - 0.02 / 0.3
