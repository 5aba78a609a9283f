"""Conversion of HDR and wide-gamut images to SDR in BT.709."""

import math
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageFilter

from callsheet.media.thumbnails.gamut import convert_gamut

Matrix = Sequence[Sequence[float]]

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)."""

_TABLE_SIZE = 33
"""Entries per axis of the color lookup table."""
PEAK = 10.0
"""Maximum luminance; brighter light is clipped. 1 is SDR white, 100 cd/m²."""

_BT2020, _P3, _DISPLAY_P3 = 9, 11, 12
"""Primaries of ITU-T H.273."""
_UNKNOWN = frozenset({0, 2})
"""Primaries that are reserved, or not stated."""
_FROM_BT2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
"""Conversion from BT.2020 primaries to those of BT.709, in linear light."""
_FROM_P3 = ((1.2249, -0.2247, -0.0002), (-0.0420, 1.0419, 0.0001), (-0.0196, -0.0786, 1.0982))
"""Conversion from P3 primaries to those of BT.709, in linear light."""
_WIDE = {_BT2020: _FROM_BT2020, _P3: _FROM_P3, _DISPLAY_P3: _FROM_P3}
_UNCHANGED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

SDR_GAMMA = 2.4
"""Gamma of an SDR display, by BT.1886."""


def to_sdr(image: Image.Image, transfer: int, primaries: int) -> Image.Image:
    """Return an RGB image converted to SDR in BT.709; one that is that already is returned unchanged.

    `transfer` and `primaries` are those of ITU-T H.273. The result matches FFmpeg's `zscale` and `tonemap=hable`.
    """
    if transfer in (PQ, HLG):
        return image.filter(_tone_mapping_table(transfer, primaries))
    return convert_gamut(image, primaries) if primaries in _WIDE else image


def needs_conversion(transfer: int, primaries: int) -> bool:
    """Return whether colors of this transfer and these primaries are not those of SDR in BT.709."""
    return transfer in (PQ, HLG) or primaries in _WIDE


def gamut_matrix(transfer: int, primaries: int) -> Matrix:
    """Return the conversion of linear light to the primaries of BT.709. HDR that states no primaries has BT.2020."""
    if transfer in (PQ, HLG) and primaries in _UNKNOWN:
        return _FROM_BT2020
    return _WIDE.get(primaries, _UNCHANGED)


def linear_light(transfer: int, value: float) -> float:
    """Return the light of a stored value from 0 to 1. 1 is SDR white; HDR is brighter, up to `PEAK`."""
    if transfer not in (PQ, HLG):
        return float(value**SDR_GAMMA)
    return min(PEAK, (_pq_to_linear if transfer == PQ else _hlg_to_linear)(value))


def tone_gain(brightest: float) -> float:
    """Return the factor that brings HDR light into the range of SDR, by the brightest of its three components."""
    brightest = max(brightest, 1e-6)
    return _hable(brightest) / _hable(PEAK) / brightest


@cache
def _tone_mapping_table(transfer: int, primaries: int) -> ImageFilter.Color3DLUT:
    matrix = gamut_matrix(transfer, primaries)

    def tone_map(*stored: float) -> tuple[float, float, float]:
        narrow = _multiply(matrix, [linear_light(transfer, value) for value in stored])
        gain = tone_gain(max(narrow))
        red, green, blue = (min(1.0, light * gain) ** (1 / SDR_GAMMA) for light in narrow)
        return red, green, blue

    return ImageFilter.Color3DLUT.generate(_TABLE_SIZE, tone_map)


def _multiply(matrix: Matrix, light: Sequence[float]) -> list[float]:
    return [max(0.0, sum(w * c for w, c in zip(row, light, strict=True))) for row in matrix]


def _pq_to_linear(value: float) -> float:
    root = value ** (1 / 78.84375)
    return float(100 * (max(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125))


def _hlg_to_linear(value: float) -> float:
    scene = value * value / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    # A display of 1000 cd/m² has a system gamma of 1.2. zscale applies it to each color channel separately.
    return float(PEAK * scene**1.2)


def _hable(light: float) -> float:
    """Return light on Hable's curve, which keeps shadows and midtones, and compresses highlights."""
    numerator = light * (0.15 * light + 0.05) + 0.004
    return numerator / (light * (0.15 * light + 0.5) + 0.06) - 0.02 / 0.3
