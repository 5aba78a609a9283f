"""Scene change detection, for cuts and dissolves."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from PIL import Image, ImageChops, ImageStat

from callsheet.media.thumbnails.display_image import display_image
from callsheet.media.thumbnails.preview_requests import Accuracy, ProgressCallback
from callsheet.media.thumbnails.video_reader import VideoReader

_WIDTH = 64
"""Width of the compared images, in pixels."""
_MIN_KEY_FRAME_DISTANCE = 0.4
"""Seconds between compared key frames. It limits the work for videos that consist of key frames only."""
_DISSOLVE_STEP = 0.5
"""Seconds between the frames that are compared to find dissolves. A dissolve takes up to two steps."""

Change = tuple[float, float]
"""The time in seconds, and the changed part of the image in percent."""

Sample = tuple[float, Image.Image]
"""A time in seconds, and the small image of the frame."""


def scene_changes(
    reader: VideoReader, threshold: float, accuracy: Accuracy, on_progress: ProgressCallback
) -> list[Change]:
    """Return the scene changes of at least `threshold` percent of light and color.

    - `exact` decodes every frame.
    - `keyframe` decodes key frames only, and returns the first one after each change.
    - `auto` compares key frames, and decodes only between those that differ. It is exact to the frame, but misses a
      scene between two key frames.

    The time of a dissolve is that of a frame soon after it.
    """
    if accuracy == "exact":
        return _changes(reader, 0.0, float("inf"), threshold, on_progress)
    samples = list(_key_frame_samples(reader, on_progress))
    steps = [(early, late, _difference(before, after)) for (early, before), (late, after) in pairwise(samples)]
    if accuracy == "keyframe":
        return [(late, score) for _, late, score in steps if score >= threshold]
    # Half the threshold: two distant frames may be slightly more similar than the frames at the cut.
    spans = [(early, late) for early, late, score in steps if score >= threshold / 2]
    # The part after the last key frame has no next key frame to compare with, so it is always decoded.
    spans.append((samples[-1][0] if samples else 0.0, float("inf")))
    merged = _merge_adjacent(spans)
    return [change for start, end in merged for change in _changes(reader, start, end, threshold, on_progress)]


def _key_frame_samples(reader: VideoReader, on_progress: ProgressCallback) -> Iterator[Sample]:
    for frame, time in reader.key_frames(_MIN_KEY_FRAME_DISTANCE):
        on_progress(0.5 * time / max(reader.duration, time, 1e-6))
        yield time, display_image(frame, reader.shape, _WIDTH)


def _merge_adjacent(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Merge adjacent spans, since a change may be at their boundary."""
    merged: list[tuple[float, float]] = []
    for start, end in spans:
        if merged and merged[-1][1] == start:
            start = merged.pop()[0]
        merged.append((start, end))
    return merged


def _changes(
    reader: VideoReader, start: float, end: float, threshold: float, on_progress: ProgressCallback
) -> list[Change]:
    """Decode a span and return its changes in order."""
    steps: list[Change] = []
    sparse: list[Sample] = []
    before: Image.Image | None = None
    for frame, time in reader.frames(start, end):
        image = display_image(frame, reader.shape, _WIDTH)
        steps.append((time, _difference(before, image) if before else 0.0))
        if not sparse or time >= sparse[-1][0] + _DISSOLVE_STEP:
            sparse.append((time, image))
        before = image
        on_progress(0.5 + 0.5 * time / max(reader.duration, time, 1e-6))
    cuts = [change for change in _peaks(steps, 1, threshold) if change[0] <= end]
    return sorted([*cuts, *_dissolves(sparse, cuts, threshold)])


def _dissolves(sparse: list[Sample], cuts: list[Change], threshold: float) -> Iterator[Change]:
    """Yield changes that take several frames, by a comparison of samples two steps apart."""
    spans = [(late, _difference(before, after)) for (_, before), (late, after) in zip(sparse, sparse[2:], strict=False)]
    peaks = _peaks(spans, 2, threshold)
    for index, (time, score) in enumerate(peaks):
        has_later_peak = index + 1 < len(peaks) and peaks[index + 1][0] <= time + 2 * _DISSOLVE_STEP
        if not has_later_peak and not any(time - 3 * _DISSOLVE_STEP <= cut <= time for cut, _ in cuts):
            yield time, score


def _peaks(steps: Sequence[Change], distance: int, threshold: float) -> list[Change]:
    """Return the steps that exceed their neighbors at a distance by the threshold.

    This excludes fast motion and camera flashes, which change several consecutive steps.
    """
    levels = [0.0] * distance + [change for _, change in steps] + [0.0] * distance
    neighbors = zip(levels, levels[2 * distance :], strict=False)
    scores = [(time, change - max(sides)) for (time, change), sides in zip(steps, neighbors, strict=True)]
    return [(time, score) for time, score in scores if score >= threshold]


def _difference(one: Image.Image, other: Image.Image) -> float:
    if one.size != other.size:  # the frame size may change within a file
        other = other.resize(one.size)
    bands = ImageStat.Stat(ImageChops.difference(one, other)).mean
    return sum(bands) / len(bands) / 2.55
