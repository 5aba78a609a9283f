"""Conversion of wide-gamut images to the primaries of BT.709, by ICC profiles that are made here."""

import io
import struct
from functools import cache
from typing import Any

from PIL import Image, ImageCms

_BT709, _BT2020, _P3, _DISPLAY_P3 = 1, 9, 11, 12
"""Primaries of ITU-T H.273."""
_CHROMATICITIES = {
    _BT709: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    _BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    _P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    _DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Red, green and blue as points (x, y) of CIE 1931."""
_D65, _D50 = (0.95047, 1.0, 1.08883), (0.9642, 1.0, 0.8249)
_GAMMA = 2.4
"""Gamma of an SDR display, by BT.1886."""


def convert_gamut(image: Image.Image, primaries: int) -> Image.Image:
    """Return an RGB image of these primaries with those of BT.709. Colors outside of it are clipped."""
    return ImageCms.applyTransform(image, _transform(primaries)) or image  # None only if converted in place


@cache
def _transform(primaries: int) -> Any:
    source, target = (ImageCms.ImageCmsProfile(io.BytesIO(_profile(each))) for each in (primaries, _BT709))
    return ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _profile(primaries: int) -> bytes:
    """Return an ICC profile (version 2) of these primaries with the gamma of a display."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(_GAMMA * 256)) + bytes(2)
    tags = {b"wtpt": _xyz(_D50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    for name, light in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _light_of_primaries(primaries), strict=True):
        # Profiles are relative to D50. Both profiles are adapted in the same way, so that it cancels out.
        tags[name] = _xyz(tuple(value * to / of for value, to, of in zip(light, _D50, _D65, strict=True)))
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return header + bytes(128 - len(header)) + table + data


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _light_of_primaries(primaries: int) -> list[tuple[float, float, float]]:
    """Return the light (X, Y, Z) of full red, green and blue, which add up to white."""
    points = [(x / y, 1.0, (1 - x - y) / y) for x, y in _CHROMATICITIES[primaries]]
    shares = _solve(points, _D65)
    return [(x * share, y * share, z * share) for (x, y, z), share in zip(points, shares, strict=True)]


def _solve(points: list[tuple[float, float, float]], white: tuple[float, float, float]) -> list[float]:
    """Return the weights with which the points add up to white, by Cramer's rule."""
    whole = _determinant(*points)
    return [
        _determinant(*(white if n == number else point for n, point in enumerate(points))) / whole
        for number in range(3)
    ]


def _determinant(*rows: tuple[float, float, float]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
