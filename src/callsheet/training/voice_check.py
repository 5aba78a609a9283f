"""Check the recordings of a voice: each has sound, a usable length and a transcript."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from callsheet.domain.errors import CallsheetError, Problem
from callsheet.media.probing.probe import probe_details
from callsheet.training.dataset_files import DatasetFile, read_dataset

AUDIO = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"})
MIN_SECONDS, MAX_SECONDS = 0.3, 30.0
"""F5-TTS leaves out shorter and longer recordings."""


async def check_recordings(
    folder: Path, *, on_progress: Callable[[float], None]
) -> tuple[list[DatasetFile], float, list[Problem]]:
    """Return the recordings with their transcripts, their length in seconds, and all problems."""
    subsets, problems = await asyncio.to_thread(read_dataset, folder, allowed=AUDIO, caption_extension=".txt")
    files = [file for subset in subsets for file in subset.files]
    root = await asyncio.to_thread(folder.resolve)
    total = 0.0
    for number, file in enumerate(files, start=1):
        path = str(file.path.relative_to(root))
        seconds, problem = await _length(file.path)
        total += seconds
        if problem is not None:
            problems.append(Problem(path, *problem))
        transcript = file.path.with_suffix(".txt")
        if file.caption is None and not transcript.exists():
            problems.append(Problem(path, "missing", f"there is no transcript '{transcript.name}'"))
        on_progress(number / len(files))
    return files, total, problems


async def _length(path: Path) -> tuple[float, tuple[str, str] | None]:
    try:
        media = await probe_details(path)
    except CallsheetError as error:
        return 0.0, ("no_sound", error.message)
    seconds = media.probe.duration or 0.0
    if not media.has_audio:
        return 0.0, ("no_sound", "it has no sound")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        message = f"it lasts {seconds:.1f} s; usable are {MIN_SECONDS:g} to {MAX_SECONDS:g} s"
        return seconds, ("out_of_range", message)
    return seconds, None
