"""What is in the scratch spaces of a machine, and what of it can go.

A scratch space contains the folders of processes, which are locked while their process lives, the finished results that
the storage did not take, and what is left of earlier versions. Symbolic links are neither followed nor measured.
"""

import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from callsheet.files.file_locks import exclusive_lock
from callsheet.files.scratch_folders import PROCESS_PREFIX, is_abandoned, remove_if_abandoned

FINISHED = "finished"
"""Folder of finished results in a scratch space, one folder for each job."""
FINISHED_RESULT = "result.json"
"""File of a finished result that is locked while a run stores it."""
_CLEAN_UP_LOCK = "clean-up.lock"
_NEW = timedelta(hours=1)
"""Age up to which what no process has locked is left alone, also above the maximum size."""


class EntryKind(StrEnum):
    """What an entry of a scratch space is."""

    PROCESS = "process"
    FINISHED = "finished"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class TemporaryEntry:
    """A file or folder of a scratch space, as a whole."""

    path: Path
    kind: EntryKind
    is_live: bool
    """Whether a live process has it, or it belongs to another user. It is never removed."""
    files: int
    bytes: int
    """Room on the disk. A file with several links counts once."""
    changed_at: float
    """Time of the newest change in it, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class TemporaryRules:
    """What is left over, and how much room everything may take."""

    max_age: timedelta
    finished_max_age: timedelta
    max_bytes: int


@dataclass(frozen=True, slots=True)
class TemporaryFiles:
    """What the scratch spaces of a machine contain."""

    live: list[TemporaryEntry]
    kept: list[TemporaryEntry]
    removable: list[TemporaryEntry]

    @property
    def bytes(self) -> int:
        """Room that everything takes."""
        return sum(entry.bytes for entry in (*self.live, *self.kept, *self.removable))

    @property
    def live_bytes(self) -> int:
        """Room of what live processes have."""
        return sum(entry.bytes for entry in self.live)


@dataclass(slots=True)
class Removed:
    """What a clean-up has removed."""

    files: int = 0
    bytes: int = 0
    failures: list[str] = field(default_factory=list)
    """Paths that could not be removed, with the reasons."""


def survey_scratch_spaces(spaces: Iterable[Path], rules: TemporaryRules) -> TemporaryFiles:
    """Return what is in use in scratch spaces, what is kept, and what a clean-up removes. Nothing is changed.

    Removed is what processes have left that ended, what is older than the rules say, and, above the maximum size, the
    oldest of the rest that no process has.
    """
    seen: set[tuple[int, int]] = set()
    entries = [_measure(path, kind, seen) for space in spaces for path, kind in _entries(space)]
    found = [entry for entry in entries if entry is not None]
    now = time.time()
    live = [entry for entry in found if entry.is_live]
    rest = sorted((entry for entry in found if not entry.is_live), key=lambda entry: entry.changed_at)
    removable = [entry for entry in rest if _is_left_over(entry, rules, now)]
    kept = [entry for entry in rest if entry not in removable]
    room = sum(entry.bytes for entry in (*live, *kept))
    for entry in list(kept):
        if room > rules.max_bytes and now - entry.changed_at >= _NEW.total_seconds():
            kept.remove(entry)
            removable.append(entry)
            room -= entry.bytes
    return TemporaryFiles(live, kept, removable)


def remove_entries(entries: Iterable[TemporaryEntry]) -> Removed:
    """Remove entries that a survey has found removable. What a process uses meanwhile stays."""
    removed = Removed()
    for entry in entries:
        try:
            is_removed = _remove(entry)
        except FileNotFoundError:  # another clean-up has removed it
            continue
        except OSError as error:
            removed.failures.append(f"{entry.path}: {error.strerror or error}")
            continue
        if is_removed:
            removed.files += entry.files
            removed.bytes += entry.bytes
    return removed


@contextmanager
def only_clean_up(spaces: Sequence[Path]) -> Iterator[bool]:
    """Keep the other processes of this machine from cleaning the same scratch spaces while the block runs.

    Yield False if another one cleans them.
    """
    lock = spaces[0] / _CLEAN_UP_LOCK
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock.touch()
    with exclusive_lock(lock) as is_free:
        yield is_free


def _entries(space: Path) -> Iterator[tuple[Path, EntryKind]]:
    for path in _children(space):
        if path.name.startswith(PROCESS_PREFIX):
            yield path, EntryKind.PROCESS
        elif path.name == FINISHED and path.is_dir() and not path.is_symlink():
            for result in _children(path):
                yield result, EntryKind.FINISHED
        elif path.name != _CLEAN_UP_LOCK:
            yield path, EntryKind.OTHER


def _children(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError):
        return sorted(folder.iterdir())
    return []


def _measure(path: Path, kind: EntryKind, seen: set[tuple[int, int]]) -> TemporaryEntry | None:
    """Return an entry with its size; None if it has disappeared."""
    try:
        is_live = not _is_ours(path) or _is_in_use(path, kind)
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError:  # it cannot be locked or read, so nothing is known of it
        return TemporaryEntry(path, kind, True, 0, 0, time.time())
    files = size = 0
    changed_at = found.st_mtime
    for each in _stats_below(path, found):
        changed_at = max(changed_at, each.st_mtime)
        if not stat.S_ISDIR(each.st_mode) and (each.st_dev, each.st_ino) not in seen:
            if each.st_nlink > 1:
                seen.add((each.st_dev, each.st_ino))
            files += 1
            size += each.st_blocks * 512
    return TemporaryEntry(path, kind, is_live, files, size, changed_at)


def _stats_below(path: Path, found: os.stat_result) -> Iterator[os.stat_result]:
    """Yield the stats of an entry and of everything below it."""
    yield found
    if not stat.S_ISDIR(found.st_mode):
        return
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            with suppress(OSError):  # it has disappeared
                yield os.lstat(os.path.join(folder, name))  # noqa: PTH118 - no Path for each of many files


def _is_ours(path: Path) -> bool:
    """Return whether an entry belongs to this user, or to the owner of its folder: some servers of files change it."""
    return path.lstat().st_uid in {os.geteuid(), path.parent.stat().st_uid}


def _is_in_use(path: Path, kind: EntryKind) -> bool:
    if kind is EntryKind.PROCESS:
        return not is_abandoned(path)
    result = path / FINISHED_RESULT
    if kind is EntryKind.FINISHED and result.is_file():
        with exclusive_lock(result) as is_free:
            return not is_free
    return False


def _is_left_over(entry: TemporaryEntry, rules: TemporaryRules, now: float) -> bool:
    if entry.kind is EntryKind.PROCESS:
        return True  # of a process that has ended
    age = timedelta(seconds=max(0.0, now - entry.changed_at))
    if entry.files == 0 and age >= _NEW:
        return True  # an empty folder
    return age > (rules.finished_max_age if entry.kind is EntryKind.FINISHED else rules.max_age)


def _remove(entry: TemporaryEntry) -> bool:
    if entry.kind is EntryKind.PROCESS:
        return remove_if_abandoned(entry.path)
    result = entry.path / FINISHED_RESULT
    if entry.kind is EntryKind.FINISHED and result.is_file():
        with exclusive_lock(result) as is_free:
            if is_free:
                _remove_tree(entry.path)
            return is_free
    _remove_tree(entry.path)
    return True


def _remove_tree(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
