"""Finding where one scene of a video is cut to the next."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise

from PIL import Image, ImageChops, ImageStat

from callsheet.media.previewing.reel import Reel
from callsheet.media.previewing.shown import as_seen

_WIDTH = 64
_KEYS_APART = 0.4
"""Seconds; films whose pictures are all key frames are looked at no closer than that."""

Change = tuple[float, float]
"""Its time, and how much of the picture changed, from 0 to 100."""


def scene_changes(reel: Reel, threshold: float, accuracy: str, tell: Callable[[float], None]) -> list[Change]:
    """Return the cuts in which at least `threshold` percent of the picture's light and colour changes.

    By accuracy: `exact` decodes every picture; `keyframe` only key frames, and takes the first one after a cut;
    `auto` compares key frames, and decodes only between those that differ: exact to the frame, but blind for a scene
    that comes and goes between two key frames.
    """
    if accuracy == "exact":
        return _cuts(reel, 0.0, float("inf"), threshold, tell)
    keys = list(_small_key_frames(reel, tell))
    steps = [(early, late, _difference(before, after)) for (early, before), (late, after) in pairwise(keys)]
    if accuracy == "keyframe":
        return [(late, score) for _, late, score in steps if score >= threshold]
    # Two pictures far apart may happen to be a little more alike than those right at the cut.
    stretches = [(early, late) for early, late, score in steps if score >= threshold / 2]
    last = keys[-1][0] if keys else 0.0
    stretches.append((last, float("inf")))  # after the last key frame there is nothing to compare it with
    found = {time: score for early, late in stretches for time, score in _cuts(reel, early, late, threshold, tell)}
    return sorted(found.items())


def _small_key_frames(reel: Reel, tell: Callable[[float], None]) -> Iterator[tuple[float, Image.Image]]:
    for frame, time in reel.key_frames(_KEYS_APART):
        tell(0.5 * time / max(reel.duration, time, 1e-6))
        yield time, as_seen(frame, reel.shape, _WIDTH)


def _cuts(reel: Reel, start: float, end: float, threshold: float, tell: Callable[[float], None]) -> list[Change]:
    """Decode a stretch and return its cuts: changes that stand out from the ones just before and after.

    So neither quick motion nor the flash of a camera is taken for a cut.
    """
    found: list[Change] = []
    window: deque[Change] = deque([(start, 0.0), (start, 0.0)], maxlen=3)
    before: Image.Image | None = None
    for frame, time in reel.pictures(start, end):
        image = as_seen(frame, reel.shape, _WIDTH)
        window.append((time, _difference(before, image) if before else 0.0))
        found += _peak(window, threshold)
        before = image
        tell(0.5 + 0.5 * time / max(reel.duration, time, 1e-6))
    window.append((end, 0.0))
    found += _peak(window, threshold)
    return [(time, score) for time, score in found if time <= end]


def _peak(window: deque[Change], threshold: float) -> list[Change]:
    (_, before), (time, change), (_, after) = window
    score = change - max(before, after)
    return [(time, score)] if score >= threshold else []


def _difference(one: Image.Image, other: Image.Image) -> float:
    if one.size != other.size:  # the size changes in the middle of the file
        other = other.resize(one.size)
    bands = ImageStat.Stat(ImageChops.difference(one, other)).mean
    return sum(bands) / len(bands) / 2.55
