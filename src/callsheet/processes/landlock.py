"""Restrict the file system and network access of a child process with Landlock, the unprivileged sandbox of Linux.

A ruleset lists the paths that a process may use. It applies to the process that enters it and to all of its children,
and cannot be left. Source: https://docs.kernel.org/userspace-api/landlock.html.
"""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from callsheet.processes.landlock_calls import CREATE_RULESET, READ, allow, call, restrict_self

_QUERY_VERSION = 1
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_VERSION_1 = (1 << 13) - 1
_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


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
    try:
        return call(CREATE_RULESET, None, 0, _QUERY_VERSION)
    except OSError:
        return 0


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
        self._fd = call(CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
        try:
            self._allow(access.read, READ)
            self._allow(access.write, self._write)
        except BaseException:
            self.close()
            raise

    @property
    def fd(self) -> int:
        """The descriptor of the ruleset, for a child process that enters it by `landlock_calls.restrict_self`."""
        return self._fd

    def enter(self) -> None:
        """Restrict the calling thread and its children. Raises OSError."""
        restrict_self(self._fd)

    def close(self) -> None:
        """Close the ruleset in this process. Processes that entered it stay restricted."""
        os.close(self._fd)

    def _allow(self, paths: Iterable[Path], rights: int) -> None:
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                allow(self._fd, str(path), rights & self._write)
