"""Finding where one scene of a video ends and the next begins, at a cut or through a dissolve."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from PIL import Image, ImageChops, ImageStat

from callsheet.media.thumbnails.display_image import display_image
from callsheet.media.thumbnails.video_reader import VideoReader

_WIDTH = 64
_KEYS_APART = 0.4
"""Seconds; films whose pictures are all key frames are looked at no closer than that."""
_STEP = 0.5
"""Seconds between the pictures that are compared to find dissolves, which take up to two steps."""

Change = tuple[float, float]
"""Its time, and how much of the picture changed, from 0 to 100."""

Looked = tuple[float, Image.Image]
"""A time, and the small picture seen at it."""


def scene_changes(reel: VideoReader, threshold: float, accuracy: str, tell: Callable[[float], None]) -> list[Change]:
    """Return the changes of at least `threshold` percent of the picture's light and colour.

    By accuracy: `exact` decodes every picture; `keyframe` only key frames, and takes the first one after a change;
    `auto` compares key frames, and decodes only between those that differ: exact to the frame, but blind for a scene
    that comes and goes between two key frames. Of a dissolve the time is that of a picture soon after it.
    """
    if accuracy == "exact":
        return _changes(reel, 0.0, float("inf"), threshold, tell)
    keys = list(_small_key_frames(reel, tell))
    steps = [(early, late, _difference(before, after)) for (early, before), (late, after) in pairwise(keys)]
    if accuracy == "keyframe":
        return [(late, score) for _, late, score in steps if score >= threshold]
    # Two pictures far apart may happen to be a little more alike than those right at the cut.
    stretches = [(early, late) for early, late, score in steps if score >= threshold / 2]
    # After the last key frame there is nothing to compare it with.
    stretches.append((keys[-1][0] if keys else 0.0, float("inf")))
    return [change for start, end in _joined(stretches) for change in _changes(reel, start, end, threshold, tell)]


def _small_key_frames(reel: VideoReader, tell: Callable[[float], None]) -> Iterator[Looked]:
    for frame, time in reel.key_frames(_KEYS_APART):
        tell(0.5 * time / max(reel.duration, time, 1e-6))
        yield time, display_image(frame, reel.shape, _WIDTH)


def _joined(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return stretches as long as they can be, since a change may lie where two of them meet."""
    joined: list[tuple[float, float]] = []
    for start, end in stretches:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


def _changes(
    reel: VideoReader, start: float, end: float, threshold: float, tell: Callable[[float], None]
) -> list[Change]:
    """Decode a stretch and return its changes, in order."""
    steps: list[Change] = []
    sparse: list[Looked] = []
    before: Image.Image | None = None
    for frame, time in reel.pictures(start, end):
        image = display_image(frame, reel.shape, _WIDTH)
        steps.append((time, _difference(before, image) if before else 0.0))
        if not sparse or time >= sparse[-1][0] + _STEP:
            sparse.append((time, image))
        before = image
        tell(0.5 + 0.5 * time / max(reel.duration, time, 1e-6))
    cuts = [change for change in _peaks(steps, 1, threshold) if change[0] <= end]
    return sorted([*cuts, *_dissolves(sparse, cuts, threshold)])


def _dissolves(sparse: list[Looked], cuts: list[Change], threshold: float) -> Iterator[Change]:
    """Find changes that take several pictures, by comparing pictures two steps apart."""
    spans = [(late, _difference(before, after)) for (_, before), (late, after) in zip(sparse, sparse[2:], strict=False)]
    peaks = _peaks(spans, 2, threshold)
    for index, (time, score) in enumerate(peaks):
        followed = index + 1 < len(peaks) and peaks[index + 1][0] <= time + 2 * _STEP
        if not followed and not any(time - 3 * _STEP <= cut <= time for cut, _ in cuts):
            yield time, score


def _peaks(steps: Sequence[Change], distance: int, threshold: float) -> list[Change]:
    """Return the steps that stand out from those at a distance before and after.

    So neither quick motion nor the flash of a camera is taken for a change of scene.
    """
    levels = [0.0] * distance + [change for _, change in steps] + [0.0] * distance
    around = zip(levels, levels[2 * distance :], strict=False)
    scores = [(time, change - max(sides)) for (time, change), sides in zip(steps, around, strict=True)]
    return [(time, score) for time, score in scores if score >= threshold]


def _difference(one: Image.Image, other: Image.Image) -> float:
    if one.size != other.size:  # the size changes in the middle of the file
        other = other.resize(one.size)
    bands = ImageStat.Stat(ImageChops.difference(one, other)).mean
    return sum(bands) / len(bands) / 2.55
