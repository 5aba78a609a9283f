"""Restrict the file system and network access of a child process with Landlock, the unprivileged sandbox of Linux.

A ruleset lists the paths that a process may use. It applies to the process that enters it and to all of its children,
and cannot be left. Source: https://docs.kernel.org/userspace-api/landlock.html.
"""

import ctypes
import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Loaded at import: loading a library between fork and exec can deadlock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_QUERY_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_VERSION_1 = (1 << 13) - 1
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class FileAccess:
    """Paths that a process may use, with all below them. Paths that do not exist are ignored."""

    read: tuple[Path, ...] = ()
    """To be read and executed."""
    write: tuple[Path, ...] = ()
    """To be read, written, created and deleted."""


@cache
def landlock_version() -> int:
    """Return the version of Landlock in the running kernel; 0: it has none, or it is disabled."""
    if _libc is None:
        return 0
    version: int = _libc.syscall(_CREATE_RULESET, None, 0, _QUERY_VERSION)
    return max(0, version)


class Ruleset:
    """A Landlock ruleset: create it in the parent, enter it in the child, close it in the parent.

    Example:
        >>> ruleset = Ruleset(FileAccess(read=(Path("/usr"),), write=(folder,)))
        >>> subprocess.run(["ls", "/"], preexec_fn=ruleset.enter)
        >>> ruleset.close()
    """

    def __init__(self, access: FileAccess) -> None:
        """Create a ruleset. Raises OSError if the kernel has no Landlock."""
        version = landlock_version()
        self._write = _VERSION_1 | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
        attributes = _RulesetAttributes(
            files=self._write,
            network=_TCP if version >= 4 else 0,
            scoped=_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
        )
        self._fd = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
        try:
            self._allow(access.read, _READ)
            self._allow(access.write, self._write)
        except BaseException:
            self.close()
            raise

    def enter(self) -> None:
        """Restrict the calling thread and its children. Raises OSError."""
        # The path of the process is known in the process only. CUDA fails if it cannot write the names of its threads.
        self._allow([Path("/proc/self")], self._write)
        if _libc is None or _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "cannot give up new privileges")
        _call(_RESTRICT_SELF, self._fd, 0)

    def close(self) -> None:
        """Close the ruleset in this process. Processes that entered it stay restricted."""
        os.close(self._fd)

    def _allow(self, paths: Iterable[Path], rights: int) -> None:
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                self._allow_path(os.open(path, os.O_PATH | os.O_CLOEXEC), rights)

    def _allow_path(self, fd: int, rights: int) -> None:
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _OF_FILES
            rule = _PathRule(allowed=rights & self._write, parent=fd)
            _call(_ADD_RULE, self._fd, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(fd)


def _call(number: int, *args: object) -> int:
    if _libc is None:
        raise OSError("Landlock exists on Linux only")
    result: int = _libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
