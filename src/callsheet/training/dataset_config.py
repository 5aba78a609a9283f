"""Dataset configurations, as the trainers read them: JSON documents."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from callsheet.training.bucketing import bucket_of
from callsheet.training.dataset_files import Subset
from callsheet.training.options import LoraOptions, Wan


def kohya_config(subsets: Iterable[Subset], options: LoraOptions) -> dict[str, Any]:
    """Return the configuration for kohya's sd-scripts (`--dataset_config`)."""
    buckets = options.buckets
    return {
        "general": {
            "caption_extension": options.caption_extension,
            "shuffle_caption": options.shuffle_caption,
            "keep_tokens": options.keep_tokens,
            "flip_aug": options.flip,
        },
        "datasets": [
            {
                "resolution": options.side,
                "batch_size": options.batch_size,
                "enable_bucket": buckets.enabled,
                "min_bucket_reso": buckets.min_size,
                "max_bucket_reso": buckets.max_size,
                "bucket_reso_steps": buckets.step,
                "bucket_no_upscale": buckets.no_upscale,
                "subsets": [_kohya_subset(subset, options) for subset in subsets],
            }
        ],
    }


def _kohya_subset(subset: Subset, options: LoraOptions) -> dict[str, Any]:
    entry: dict[str, Any] = {"image_dir": str(subset.folder), "num_repeats": subset.repeats or options.repeats}
    if options.caption is not None:
        entry["class_tokens"] = options.caption
    return entry


def musubi_config(subsets: Iterable[Subset], options: LoraOptions, cache: Path) -> dict[str, Any]:
    """Return the configuration for musubi-tuner. It has one dataset for the images of a folder, and one for its videos.

    `cache` is the folder for encoded images and texts.
    """
    return {
        "general": {
            "resolution": [options.side, options.side],
            "caption_extension": options.caption_extension,
            "batch_size": options.batch_size,
            "enable_bucket": options.buckets.enabled,
            "bucket_no_upscale": options.buckets.no_upscale,
        },
        "datasets": [
            {**entry, "cache_directory": str(cache / str(number))}
            for number, entry in enumerate(_musubi_datasets(subsets, options))
        ],
    }


def _musubi_datasets(subsets: Iterable[Subset], options: LoraOptions) -> Iterable[dict[str, Any]]:
    assert isinstance(options.profile, Wan)  # noqa: S101 - no other profile is trained by musubi-tuner
    for subset in subsets:
        repeats = {"num_repeats": subset.repeats or options.repeats}
        if any(not file.is_video for file in subset.files):
            yield {"image_directory": str(subset.folder), **repeats}
        if any(file.is_video for file in subset.files):
            yield {
                "video_directory": str(subset.folder),
                "target_frames": options.profile.frames,
                "frame_extraction": options.profile.frame_extraction,
                **repeats,
            }


def peft_config(subsets: Iterable[Subset], options: LoraOptions) -> dict[str, Any]:
    """Return the dataset for the trainer that comes with Callsheet: each file with its bucket and its caption."""
    return {
        "files": [
            {
                "path": str(file.path),
                "caption": file.caption or options.caption or "",
                "size": bucket_of(file.width, file.height, options.side, options.buckets),
                "repeats": subset.repeats or options.repeats,
            }
            for subset in subsets
            for file in subset.files
        ],
        "batchSize": options.batch_size,
        "flip": options.flip,
        "shuffleCaption": options.shuffle_caption,
        "keepTokens": options.keep_tokens,
    }
