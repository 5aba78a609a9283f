"""Check a dataset: every file opens, is large enough and has a caption. All problems are found at once."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.domain.errors import CallsheetError, FFmpegFailed, Problem
from callsheet.media.ffmpeg.sandbox import Sandbox, script_access
from callsheet.media.probing.probe import probe_details
from callsheet.processes.child import ProcessLimits
from callsheet.processes.json_script import run_script
from callsheet.training.dataset_files import DatasetFile, Subset, read_dataset

_SCRIPT = Path(__file__).with_name("image_sizes.py")
_BATCH = 100
_MAX_NAMES_CHARACTERS = 10_000
"""Of one call of the script; JSON writes up to 12 bytes for a character, and an argument has at most 128 KiB."""
_LIMITS = ProcessLimits(file_bytes=2**20, memory_bytes=8 * 2**30)
_MIN_SIDE = 32
"""Pixels; smaller images have no latent of a usable size."""
_MAX_ASPECT = 8


@dataclass(frozen=True, slots=True)
class DatasetRules:
    """What the trainer and the settings require of a dataset."""

    allowed: frozenset[str]
    """Extensions of images and videos."""
    caption_extension: str
    captions_required: bool
    max_pixels: int
    """Of one image or frame."""
    sandbox: Sandbox


async def check_dataset(
    folder: Path, rules: DatasetRules, *, on_progress: Callable[[float], None]
) -> tuple[list[Subset], list[Problem]]:
    """Read all files of a dataset. Return its subsets with sizes and captions, and all problems."""
    subsets, problems = await asyncio.to_thread(
        read_dataset, folder, allowed=rules.allowed, caption_extension=rules.caption_extension
    )
    files = [file for subset in subsets for file in subset.files]
    root = await asyncio.to_thread(folder.resolve)
    done = 0
    for subset in subsets:
        images = [file for file in subset.files if not file.is_video]
        for part in _batches(images):
            problems += await _read_images(subset.folder, root, part, rules)
            done += len(part)
            on_progress(done / len(files))
        for file in (file for file in subset.files if file.is_video):
            problems += await _read_video(file, root)
            done += 1
            on_progress(done / len(files))
    for file in files:
        problems += _file_problems(file, str(file.path.relative_to(root)), rules)
    return subsets, problems


def _batches(files: list[DatasetFile]) -> Iterator[list[DatasetFile]]:
    longest = max((len(file.path.name) for file in files), default=1)
    size = max(1, min(_BATCH, _MAX_NAMES_CHARACTERS // longest))
    for start in range(0, len(files), size):
        yield files[start : start + size]


async def _read_images(folder: Path, root: Path, files: list[DatasetFile], rules: DatasetRules) -> list[Problem]:
    by_name = {file.path.name: file for file in files}
    problems: list[Problem] = []
    unread = dict(by_name)

    def on_line(line: dict[str, Any]) -> None:
        file = unread.pop(line["name"])
        if error := line.get("error"):
            problems.append(Problem(str(file.path.relative_to(root)), "not_an_image", error))
        else:
            file.width, file.height = line["width"], line["height"]

    request = {"folder": str(folder), "names": list(by_name), "maxPixels": rules.max_pixels}
    access = script_access(rules.sandbox, read=[folder], write=[])
    try:
        result = await run_script(_SCRIPT, request, on_line, cwd=folder, limits=_LIMITS, access=access)
        reason = result.error
    except FFmpegFailed as error:  # the memory limit
        reason = error.message
    if unread:
        # The decoder crashed on the first of them; the others were not read.
        name = next(iter(unread))
        path = str(by_name[name].path.relative_to(root))
        problems.append(Problem(path, "not_an_image", f"the decoder crashed on it: {reason[:300]}"))
        rest = [file for each, file in unread.items() if each != name]
        problems += await _read_images(folder, root, rest, rules) if rest else []
    return problems


async def _read_video(file: DatasetFile, root: Path) -> list[Problem]:
    path = str(file.path.relative_to(root))
    try:
        media = await probe_details(file.path)
    except CallsheetError as error:
        return [Problem(path, "not_a_video", error.message)]
    probe = media.probe
    if not probe.width or not probe.height or media.still:
        return [Problem(path, "not_a_video", "it has no video")]
    file.width, file.height = probe.width, probe.height
    file.frames = max(1, probe.frames or round((probe.duration or 0) * (probe.fps or 0)))
    return []


def _file_problems(file: DatasetFile, path: str, rules: DatasetRules) -> list[Problem]:
    problems = []
    caption = file.path.with_suffix(rules.caption_extension)
    if rules.captions_required and file.caption is None and not caption.exists():
        message = f"there is no caption '{caption.name}'; set `caption` for files without one"
        problems.append(Problem(path, "missing", message))
    if file.width and file.height:
        short, long = sorted((file.width, file.height))
        if short < _MIN_SIDE:
            message = f"it is {file.width}x{file.height}; each side must have at least {_MIN_SIDE} pixels"
            problems.append(Problem(path, "too_small", message))
        elif long > _MAX_ASPECT * short:
            message = f"it is {file.width}x{file.height}; one side may be at most {_MAX_ASPECT} times the other"
            problems.append(Problem(path, "out_of_range", message))
    return problems
