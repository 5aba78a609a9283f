"""Scratch folders of processes: each holds a lock on its own while it lives, so that the others can be removed.

Several workers may share a scratch space, also over a network file system with locks. The kernel releases the lock of a
process that was killed.
"""

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from callsheet.domain.errors import ConfigurationError
from callsheet.files.file_locks import exclusive_lock

PROCESS_PREFIX = "process-"
_LOCK = "lock"
_NEW = 3600.0
"""Seconds in which a folder without a lock file counts as just being created."""

_own: dict[tuple[Path, int], Path] = {}
"""Folder of this process, by scratch space and process id."""
_descriptors: list[int] = []
"""The open lock files. Closing one releases its lock."""


def own_scratch_folder(space: Path) -> Path:
    """Return the folder of this process in a scratch space. It is created at the first call, and removed at exit.

    Raises ConfigurationError if another user may have put something else in the place of the scratch space.
    """
    key = (space, os.getpid())
    if key not in _own or not _own[key].is_dir():
        _own[key] = _create(space)
    return _own[key]


def remove_abandoned_folders(space: Path) -> int:
    """Remove the folders of processes that have ended. Return their number. Other entries of `space` stay."""
    removed = 0
    for folder in space.glob(f"{PROCESS_PREFIX}*"):
        with suppress(OSError):  # another process removes it
            removed += remove_if_abandoned(folder)
    return removed


def is_abandoned(folder: Path) -> bool:
    """Return whether the process of a folder has ended. Raises OSError, such as when the folder has disappeared."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    lock = folder / _LOCK
    if not os.path.lexists(lock):
        return time.time() - folder.stat().st_mtime >= _NEW
    with exclusive_lock(lock) as is_free:
        return is_free


def _create(space: Path) -> Path:
    space.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(space)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PROCESS_PREFIX, dir=space))
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have taken the folder for abandoned just before it was locked.
            if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
                _descriptors.append(descriptor)
                atexit.register(_remove_own, folder, os.getpid())
                return folder
        os.close(descriptor)


def _check_owner(space: Path) -> None:
    """Raise ConfigurationError unless a scratch space in a folder that everyone may write, such as /tmp, is ours."""
    found = space.lstat()
    is_shared = space.parent.stat().st_mode & stat.S_IWOTH
    if is_shared and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid()):
        raise ConfigurationError(
            f"The scratch space {space} belongs to another user, or is no folder. Remove it, or set CALLSHEET_WORK_DIR "
            "to another folder"
        )


def remove_if_abandoned(folder: Path) -> bool:
    """Remove the folder of a process that has ended. Return whether it was removed. Raises OSError."""
    if not is_abandoned(folder):
        return False
    lock = folder / _LOCK
    if not os.path.lexists(lock):
        shutil.rmtree(folder)
        return True
    with exclusive_lock(lock) as is_free:
        if not is_free:
            return False
        # The lock file goes last: what a removal leaves behind can be found again.
        for entry in folder.iterdir():
            if entry != lock:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.rmtree(folder)
    return True


def _remove_own(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a fork has the same exit functions
        shutil.rmtree(folder, ignore_errors=True)
