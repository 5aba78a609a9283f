"""Find the files of a trainer that are complete while it is running."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

_MODELS = frozenset({".safetensors", ".pt", ".ckpt"})
_SAMPLES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".mp4", ".gif", ".wav"})
_SAMPLE_FOLDERS = ("sample", "samples")
_MAX_HEADER = 100 * 2**20
_PNG_END = b"IEND\xaeB`\x82"


def output_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield the checkpoints whose names start with one of `names`, and the samples, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _MODELS and path.name.startswith(tuple(names)) and path.is_file():
            yield path
    for name in _SAMPLE_FOLDERS:
        if (folder / name).is_dir():
            yield from (path for path in sorted((folder / name).iterdir()) if path.suffix.lower() in _SAMPLES)


def is_sample(path: Path) -> bool:
    """Return whether a file is a sample, not a checkpoint."""
    return path.suffix.lower() in _SAMPLES


class FileWatch:
    """Finds files that are complete: unchanged since the last look, and with the end that their format requires."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names
        self._seen: dict[Path, tuple[int, int]] = {}

    def look(self, *, skip: frozenset[str] = frozenset(), at_end: bool = False) -> list[Path]:
        """Return the complete files whose names are not in `skip`. `at_end`: the trainer has ended, so none grows."""
        found = []
        seen: dict[Path, tuple[int, int]] = {}
        for path in output_files(self._folder, self._names):
            facts = path.stat()
            seen[path] = (facts.st_size, facts.st_mtime_ns)
            unchanged = at_end or self._seen.get(path) == seen[path]
            if path.name not in skip and unchanged and is_complete(path):
                found.append(path)
        self._seen = seen
        return found


def is_complete(path: Path) -> bool:
    """Return whether a file has the end that its format requires. Other formats than these are taken as complete."""
    try:
        if path.suffix == ".safetensors":
            return _is_whole_safetensors(path)
        if path.suffix in (".pt", ".ckpt"):
            return zipfile.is_zipfile(path)
        if path.suffix.lower() == ".png":
            with path.open("rb") as file:
                file.seek(-min(path.stat().st_size, len(_PNG_END)), 2)
                return file.read() == _PNG_END
        return path.stat().st_size > 0
    except (OSError, ValueError):
        return False


def _is_whole_safetensors(path: Path) -> bool:
    """The format: 8 bytes with the length of a JSON header, the header, and the data of its tensors without gaps.

    Source: https://github.com/huggingface/safetensors#format
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= _MAX_HEADER:
            return False
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return path.stat().st_size == 8 + length + max(ends, default=0)
