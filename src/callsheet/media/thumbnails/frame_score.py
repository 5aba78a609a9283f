"""Telling a good picture of a film from a poor one."""

import math

from PIL import Image, ImageFilter, ImageStat

_EDGES = ImageFilter.Kernel((3, 3), (-1, -1, -1, -1, 8, -1, -1, -1, -1), scale=1, offset=128)
_DARK, _BRIGHT = 24, 236


def frame_score(image: Image.Image) -> float:
    """Return how telling a picture is: sharp first of all, and neither black, white nor grey.

    Comparable between pictures of one size.
    """
    grey = image.convert("L")
    sharpness = ImageStat.Stat(grey.filter(_EDGES)).stddev[0]
    levels = grey.histogram()
    told = sum(levels[_DARK:_BRIGHT]) / max(1, sum(levels))
    contrast = ImageStat.Stat(grey).stddev[0]
    colour = ImageStat.Stat(image.convert("HSV")).mean[1]
    # Of sharpness by its square root: twice the edges are not twice as telling, none at all tell nothing.
    return math.sqrt(sharpness) * (0.1 + told) * (40 + contrast + colour / 4)
