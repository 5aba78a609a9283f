"""Scratch folders of processes: each holds a lock on its own while it lives, so that the others can be removed.

Several workers may share a scratch space, also over a network file system with locks. The kernel releases the lock of a
process that was killed.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = "process-"
_LOCK = "lock"
_NEW = 3600.0
"""Seconds in which a folder without a lock file counts as just being created."""

_own: dict[tuple[Path, int], Path] = {}
"""Folder of this process, by scratch space and process id."""
_descriptors: list[int] = []
"""The open lock files. Closing one releases its lock."""


def own_scratch_folder(space: Path) -> Path:
    """Return the folder of this process in a scratch space. It is created at the first call, and removed at exit."""
    key = (space, os.getpid())
    if key not in _own or not _own[key].is_dir():
        _own[key] = _create(space)
    return _own[key]


def remove_abandoned_folders(space: Path) -> int:
    """Remove the folders of processes that have ended. Return their number. Other entries of `space` stay."""
    removed = 0
    for folder in space.glob(f"{_PREFIX}*"):
        if folder in _own.values() or not folder.is_dir():
            continue
        with suppress(OSError):  # another process removes it
            removed += _remove_if_abandoned(folder)
    return removed


def _create(space: Path) -> Path:
    space.mkdir(parents=True, exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=space))
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have taken the folder for abandoned just before it was locked.
            if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
                _descriptors.append(descriptor)
                atexit.register(_remove_own, folder, os.getpid())
                return folder
        os.close(descriptor)


def _remove_if_abandoned(folder: Path) -> bool:
    lock = folder / _LOCK
    if not lock.exists():
        if time.time() - folder.stat().st_mtime < _NEW:
            return False
        shutil.rmtree(folder)
        return True
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The lock file goes last: what a removal leaves behind can be found again.
        for entry in folder.iterdir():
            if entry != lock:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.rmtree(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove_own(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a fork has the same exit functions
        shutil.rmtree(folder, ignore_errors=True)
