"""Files of jobs that stay in the folders of a ComfyUI installation. No route of ComfyUI deletes a file.

Each prompt saves into `output/callsheet/<prompt id>/`, and uploads are in `input/callsheet/`, named by their contents.
The managed server is cleaned by its worker; on other machines, `callsheet comfyui clean` does it.
"""

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from callsheet.settings import Settings

_OURS = "callsheet"
_PROMPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UPLOAD = re.compile(r"[0-9a-f]{32}(?:\.[a-z0-9]{1,8})?")


@dataclass(frozen=True, slots=True)
class OldFiles:
    """The outputs of one prompt, or one upload, that were not used for a while."""

    path: Path
    bytes: int


def managed_base(settings: Settings) -> Path:
    """Return the folder with models, custom nodes and files of the managed server."""
    return (settings.comfyui_base_dir or settings.data_dir / "comfyui").expanduser().absolute()


def find_old_files(base: Path, *, seconds: float) -> list[OldFiles]:
    """Return the files of jobs below `input` and `output` of a ComfyUI folder that are this old."""
    limit = time.time() - seconds
    found = [*_entries(base / "output" / _OURS, _PROMPT), *_entries(base / "input" / _OURS, _UPLOAD)]
    return [each for path in found if (each := _old(path, limit)) is not None]


def remove_files(found: Iterable[OldFiles]) -> list[OldFiles]:
    """Remove files, and return those that are gone."""
    removed = []
    for each in found:
        with suppress(OSError):  # another process removes it, or it belongs to another user
            shutil.rmtree(each.path) if each.path.is_dir() else each.path.unlink()
            removed.append(each)
    return removed


def mark_used(base: Path, uploads: Iterable[str]) -> None:
    """Make uploads young again: ComfyUI keeps a file that is uploaded a second time as it is."""
    for name in uploads:
        with suppress(OSError):  # the server has another input folder
            os.utime(base / "input" / name)


def _entries(folder: Path, name: re.Pattern[str]) -> Iterator[Path]:
    """Yield the entries of a folder of ours with names of ours. Links are left alone."""
    if folder.is_dir() and not folder.is_symlink():
        yield from (path for path in sorted(folder.iterdir()) if name.fullmatch(path.name) and not path.is_symlink())


def _old(path: Path, limit: float) -> OldFiles | None:
    try:
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        stats = [each.lstat() for each in files]
    except FileNotFoundError:
        return None  # another process removes it
    if max(stat.st_mtime for stat in stats) >= limit:
        return None
    return OldFiles(path, sum(stat.st_size for stat, each in zip(stats, files, strict=True) if not each.is_dir()))
