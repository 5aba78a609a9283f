"""Buckets: the sizes to which the files of a dataset are scaled and cropped, and the steps of one epoch.

The sizes are those that kohya's sd-scripts choose (`BucketManager`): sides are multiples of a step, the area is at most
that of the resolution, and each image goes to the size with the nearest aspect ratio.
"""

import math
from collections import Counter
from collections.abc import Iterable

from callsheet.training.dataset_files import Subset
from callsheet.training.options import Buckets, LoraOptions

Size = tuple[int, int]
"""Width and height in pixels."""


def bucket_sizes(side: int, buckets: Buckets) -> list[Size]:
    """Return the sizes of the buckets for images with the area of a square, in pixels."""
    step, area = buckets.step, side * side
    square = side // step * step
    sizes = {(square, square)} if square else set()
    for width in range(buckets.min_size, buckets.max_size + 1, step):
        height = min(buckets.max_size, area // width // step * step)
        if height >= buckets.min_size:
            sizes |= {(width, height), (height, width)}
    return sorted(sizes)


def bucket_of(width: int, height: int, side: int, buckets: Buckets) -> Size:
    """Return the bucket of an image of this size, in pixels."""
    if not buckets.enabled:
        return side, side
    if buckets.no_upscale:
        scale = min(1.0, math.sqrt(side * side / (width * height)))
        scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
        return tuple(max(buckets.step, each // buckets.step * buckets.step) for each in scaled)  # type: ignore[return-value]
    ratio = width / height
    return min(bucket_sizes(side, buckets) or [(side, side)], key=lambda size: abs(size[0] / size[1] - ratio))


def fill_buckets(subsets: Iterable[Subset], options: LoraOptions) -> Counter[Size]:
    """Return the number of uses of files in one epoch, by bucket."""
    uses: Counter[Size] = Counter()
    for subset in subsets:
        repeats = subset.repeats or options.repeats
        for file in subset.files:
            uses[bucket_of(file.width, file.height, options.side, options.buckets)] += repeats
    return uses


def steps_per_epoch(uses: Counter[Size], options: LoraOptions) -> int:
    """Return the optimizer steps of one epoch. A batch holds files of one bucket."""
    batches = sum(math.ceil(number / options.batch_size) for number in uses.values())
    return max(1, math.ceil(batches / options.gradient_accumulation))


def total_steps(per_epoch: int, options: LoraOptions) -> int:
    """Return the optimizer steps of the training."""
    return options.steps if options.epoch_count is None else options.epoch_count * per_epoch  # type: ignore[return-value]
