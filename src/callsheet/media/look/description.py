"""Words for the look of frames."""

from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageChops, ImageStat

from callsheet.media.look.colors import dominant_colors
from callsheet.media.look.samples import RATE, Samples

_MAX_COLOR_FRAMES = 24
"""Frames whose pixels are named; evenly distributed."""
_CUT = 0.16
"""Mean change of all pixels between two samples, from 0 to 1, that is taken for a cut."""
_BRIGHTNESS = ((0.28, "dark"), (0.62, ""), (1.01, "bright"))
_SATURATION = ((0.06, "black and white"), (0.22, "muted colors"), (0.5, ""), (1.01, "vivid colors"))
_CONTRAST = ((0.1, "low contrast"), (0.27, ""), (1.01, "high contrast"))
_MOTION = ((0.006, "no motion"), (0.025, "calm motion"), (0.06, ""), (1.01, "fast motion"))
_CUTS = ((0.01, "no cuts"), (0.15, "few cuts"), (0.5, "several cuts"), (1e9, "fast cuts"))
"""Upper ends of the levels, and their words; cuts are per second."""


def describe(samples: Samples) -> str:
    """Return what the frames look like, such as `vertical video of 12 seconds, mostly red and white, fast cuts`."""
    frames = samples.frames
    if not frames:
        return _shape(samples)
    chosen = frames[:: max(1, len(frames) // _MAX_COLOR_FRAMES)]
    words = [_shape(samples), f"mostly {' and '.join(dominant_colors(chosen))}", *_light(chosen)]
    if samples.seconds is not None and len(frames) > RATE:
        words += _movement(frames)
    return ", ".join(filter(None, words))


def _shape(samples: Samples) -> str:
    aspect = samples.width / samples.height if samples.height else 1.0
    form = "vertical" if aspect < 0.9 else "square" if aspect < 1.12 else "horizontal"
    if samples.seconds is None:
        return f"{form} picture"
    seconds = max(1, round(samples.seconds))
    return f"{form} video of {seconds} second{'' if seconds == 1 else 's'}"


def _light(frames: Sequence[Image.Image]) -> list[str]:
    hsv = [ImageStat.Stat(frame.convert("HSV")) for frame in frames]
    gray = [ImageStat.Stat(frame.convert("L")) for frame in frames]
    count = len(frames) * 255
    return [
        _word(sum(each.mean[0] for each in gray) / count, _BRIGHTNESS),
        _word(sum(each.mean[1] for each in hsv) / count, _SATURATION),
        _word(sum(each.stddev[0] for each in gray) / count, _CONTRAST),
    ]


def _movement(frames: Sequence[Image.Image]) -> list[str]:
    changes = [_change(before, after) for before, after in pairwise(frames)]
    calm = [change for change in changes if change < _CUT]
    cuts = len(changes) - len(calm)
    motion = sum(calm) / len(calm) if calm else 1.0
    return [_word(cuts * RATE / len(changes), _CUTS), _word(motion, _MOTION)]


def _change(before: Image.Image, after: Image.Image) -> float:
    bands = ImageStat.Stat(ImageChops.difference(before, after)).mean
    return sum(bands) / len(bands) / 255


def _word(value: float, levels: Sequence[tuple[float, str]]) -> str:
    return next(word for end, word in levels if value < end)
