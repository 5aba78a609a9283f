"""Find the files of a dataset folder, and their captions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from callsheet.domain.errors import Problem

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi"})
CAPTIONS = frozenset({".txt", ".caption"})
_IGNORED = frozenset({".npz", ".safetensors", ".json", ".jsonl", ".toml", ".md", ".csv"})
"""Files that trainers write beside images, or that describe a dataset."""
_REPEATS = re.compile(r"^([0-9]{1,3})_(.+)$")
_MAX_ENTRIES = 50_000
_MAX_CAPTION_BYTES = 20_000


@dataclass(slots=True)
class DatasetFile:
    """One image or video, with its caption."""

    path: Path
    caption: str | None = None
    """None: it has none."""
    width: int = 0
    height: int = 0
    """Pixels; 0 before they were read."""
    frames: int = 1
    """Frames of a video; 1 for an image."""

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its extension."""
        return self.path.suffix.lower() in VIDEOS


@dataclass(slots=True)
class Subset:
    """One folder of a dataset."""

    folder: Path
    repeats: int | None = None
    """From a folder name such as `10_name`."""
    files: list[DatasetFile] = field(default_factory=list)


def read_dataset(
    folder: Path, *, allowed: frozenset[str], caption_extension: str
) -> tuple[list[Subset], list[Problem]]:
    """Return the subsets of a dataset, and all problems of its files: the folder itself, and each of its subfolders.

    `allowed` are the extensions of images and videos that the trainer can use. Paths in problems are relative to the
    folder. A file that a link leads out of the folder is a problem.
    """
    problems: list[Problem] = []
    root = folder.resolve()
    subsets = [_read_folder(root, root, allowed, caption_extension, problems)]
    for name in sorted(path.name for path in root.iterdir()):
        path = root / name
        if path.is_dir() and not path.is_symlink() and not name.startswith((".", "__MACOSX")):
            found = _read_folder(path, root, allowed, caption_extension, problems)
            if match := _REPEATS.match(name):
                found.repeats = max(1, int(match[1]))
            subsets.append(found)
    subsets = [subset for subset in subsets if subset.files]
    if not subsets and not problems:
        known = ", ".join(sorted(allowed))
        problems.append(Problem("", "empty", f"there is no image or video in this dataset; usable are {known}"))
    return subsets, problems


def _read_folder(
    folder: Path, root: Path, allowed: frozenset[str], caption_extension: str, problems: list[Problem]
) -> Subset:
    names = sorted(path.name for path in folder.iterdir())
    if len(names) > _MAX_ENTRIES:
        message = f"the folder has {len(names):,} entries; the limit is {_MAX_ENTRIES:,}"
        problems.append(Problem(_shown(folder, root), "too_large", message))
        return Subset(folder)
    subset = Subset(folder)
    stems: dict[str, str] = {}
    for name in names:
        path = folder / name
        if name.startswith(".") or path.is_dir():
            continue
        if path.suffix.lower() in allowed:
            problems.extend(_media_problems(path, root, stems))
            stems.setdefault(path.stem, name)
            subset.files.append(DatasetFile(path))
        else:
            problems.extend(_other_problems(path, root, names, allowed, caption_extension))
    for file in subset.files:
        file.caption, found = _read_caption(file.path.with_suffix(caption_extension), root)
        problems.extend(found)
    return subset


def _media_problems(path: Path, root: Path, stems: dict[str, str]) -> Iterator[Problem]:
    if not path.resolve().is_relative_to(root):
        yield Problem(_shown(path, root), "bad_value", "the file is a link that leads out of the dataset")
    if path.stem in stems:
        message = f"shares its caption with '{stems[path.stem]}': give each file a name of its own"
        yield Problem(_shown(path, root), "ambiguous", message)


def _other_problems(
    path: Path, root: Path, names: list[str], allowed: frozenset[str], caption_extension: str
) -> Iterator[Problem]:
    suffix = path.suffix.lower()
    if suffix == caption_extension and not any(path.with_suffix(each).name in names for each in _cases(allowed)):
        yield Problem(_shown(path, root), "missing", "there is no image or video for this caption")
    elif suffix in IMAGES | VIDEOS:
        message = f"'{suffix}' cannot be used by this trainer; usable are {', '.join(sorted(allowed))}"
        yield Problem(_shown(path, root), "unsupported", message)
    elif suffix not in CAPTIONS | _IGNORED:
        yield Problem(_shown(path, root), "unsupported", f"'{suffix or path.name}' belongs to no dataset")


def _cases(extensions: frozenset[str]) -> Iterator[str]:
    for extension in extensions:
        yield extension
        yield extension.upper()


def _read_caption(path: Path, root: Path) -> tuple[str | None, list[Problem]]:
    if not path.exists():
        return None, []
    if not path.resolve().is_relative_to(root):
        return None, [Problem(_shown(path, root), "bad_value", "the file is a link that leads out of the dataset")]
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CAPTION_BYTES + 1)
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None, [Problem(_shown(path, root), "unreadable", "the caption is not UTF-8 text")]
    except OSError as error:
        return None, [Problem(_shown(path, root), "unreadable", f"the caption cannot be read: {error.strerror}")]
    if len(data) > _MAX_CAPTION_BYTES:
        message = f"the caption is longer than {_MAX_CAPTION_BYTES:,} bytes"
        return None, [Problem(_shown(path, root), "too_large", message)]
    if not text:
        return None, [Problem(_shown(path, root), "empty", "the caption is empty")]
    return text, []


def _shown(path: Path, root: Path) -> str:
    return "" if path == root else str(path.relative_to(root))
