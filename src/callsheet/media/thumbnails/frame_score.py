"""Quality score of video frames."""

import math

from PIL import Image, ImageFilter, ImageStat

_EDGE_KERNEL = ImageFilter.Kernel((3, 3), (-1, -1, -1, -1, 8, -1, -1, -1, -1), scale=1, offset=128)
_DARK, _BRIGHT = 24, 236


def frame_score(image: Image.Image) -> float:
    """Return the score of a frame as a preview. Sharp, well exposed and colorful frames score high.

    Scores are comparable only between images of the same size.
    """
    gray = image.convert("L")
    sharpness = ImageStat.Stat(gray.filter(_EDGE_KERNEL)).stddev[0]
    histogram = gray.histogram()
    well_exposed = sum(histogram[_DARK:_BRIGHT]) / max(1, sum(histogram))
    contrast = ImageStat.Stat(gray).stddev[0]
    saturation = ImageStat.Stat(image.convert("HSV")).mean[1]
    # The square root limits the weight of sharpness: twice the edges are not twice as good, but no edges score 0.
    return math.sqrt(sharpness) * (0.1 + well_exposed) * (40 + contrast + saturation / 4)
