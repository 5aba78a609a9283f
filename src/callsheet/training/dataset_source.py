"""Where a dataset comes from: a folder of the machine, or a zip archive."""

import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from callsheet.domain.errors import BadParams, BadSource, Problem

_MAX_FILES = 50_000
_MAX_BYTES = 100 * 2**30
_CHUNK = 2**20
_SETTING = "CALLSHEET_TRAINING_DATASETS"


def resolve_dataset(text: str, roots: Sequence[Path]) -> Path:
    """Return the folder or zip archive of a local path. A relative path is looked up in each root, in their order.

    Raises BadSource if it is not inside one of the roots, or does not exist.
    """
    folders = [root.expanduser().resolve() for root in roots]
    shown = text[:200]
    if not folders:
        raise BadSource(f"'{shown}' is a local path, but no folder with datasets is allowed ({_SETTING})")
    try:
        paths = [(folder / text).resolve() for folder in folders]
        allowed = [path for path in paths if any(path.is_relative_to(folder) for folder in folders)]
        found = next((path for path in allowed if path.is_dir() or path.is_file()), None)
    except (OSError, RuntimeError, ValueError):
        raise BadSource(f"'{shown}' is not a valid path") from None
    if not allowed:
        raise BadSource(f"'{shown}' is outside the allowed folders ({_SETTING})")
    if found is None:
        raise BadSource(f"There is no folder or zip archive '{shown}' in the allowed folders ({_SETTING})")
    return found


def extract_dataset(archive: Path, target: Path) -> Path:
    """Extract a zip archive, and return the folder with its files. Raises BadParams with all problems of its entries.

    Only plain files with paths inside the archive are extracted, at most 50,000 files and 100 GiB.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if problems := _entry_problems(entries):
                raise BadParams(problems, "The archive of the dataset cannot be used")
            for entry in entries:
                _extract(opened, entry, target / entry.filename)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        message = f"'{archive.name}' is not a zip archive that can be read: {error}"
        raise BadParams([Problem("dataset", "unreadable", message)]) from None
    return _inner_folder(target)


def _entry_problems(entries: list[zipfile.ZipInfo]) -> list[Problem]:
    problems = []
    for entry in entries[:_MAX_FILES]:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename:
            problems.append(_problem(entry, "bad_value", "the path leads out of the archive"))
        elif stat.S_ISLNK(entry.external_attr >> 16):
            problems.append(_problem(entry, "unsupported", "it is a link"))
        elif entry.flag_bits & 1:
            problems.append(_problem(entry, "unsupported", "it is encrypted"))
    if len(entries) > _MAX_FILES:
        message = f"the archive has {len(entries):,} files; the limit is {_MAX_FILES:,}"
        problems.append(Problem("dataset", "too_large", message))
    if (size := sum(entry.file_size for entry in entries)) > _MAX_BYTES:
        message = f"the files of the archive have {size:,} bytes; the limit is {_MAX_BYTES:,}"
        problems.append(Problem("dataset", "too_large", message))
    return problems


def _problem(entry: zipfile.ZipInfo, code: str, message: str) -> Problem:
    return Problem(f"dataset/{entry.filename[:200]}", code, message)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as source, target.open("wb") as file:
        # The size in the directory of the archive may be wrong: never write more than it says.
        while chunk := source.read(min(_CHUNK, left + 1)):
            if len(chunk) > left:
                raise zipfile.BadZipFile(f"'{entry.filename[:200]}' is larger than the archive says")
            file.write(chunk)
            left -= len(chunk)


def _inner_folder(target: Path) -> Path:
    """Return the only folder of an archive whose files are all in one folder; otherwise the target."""
    target.mkdir(parents=True, exist_ok=True)
    inside = [path for path in target.iterdir() if path.name != "__MACOSX" and not path.name.startswith(".")]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target
