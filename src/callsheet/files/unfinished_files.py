"""Files in the folder of a storage whose writer has died before it could give them their name.

obstore writes the file `x` as `x#1` first, and does not list names of that form.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from callsheet.files.object_keys import is_staged, is_valid_key


@dataclass(frozen=True, slots=True)
class UnfinishedFile:
    """A file that has not got its name."""

    key: str
    """Path in the storage."""
    size: int
    modified_at: datetime


def unfinished_files(root: Path) -> Iterator[UnfinishedFile]:
    """Yield the unfinished files in a folder and its subfolders. Links are not followed."""
    for folder, _, names in os.walk(root):
        for name in filter(is_staged, names):
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            if not is_valid_key(key):  # Callsheet has not written it
                continue
            try:
                found = path.lstat()
            except FileNotFoundError:  # it has got its name meanwhile
                continue
            if stat.S_ISREG(found.st_mode):
                modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
                yield UnfinishedFile(key, found.st_size, modified_at)


def delete_unfinished_file(root: Path, key: str, before: datetime) -> bool:
    """Delete an unfinished file that was not written to since a time. Return whether it was deleted."""
    path = root / key
    if not is_staged(path.name) or not path.parent.resolve().is_relative_to(root):
        return False
    try:
        if path.lstat().st_mtime >= before.timestamp():
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True
