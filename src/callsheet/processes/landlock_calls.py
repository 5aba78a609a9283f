"""The system calls of Landlock. Source: https://docs.kernel.org/userspace-api/landlock.html.

It imports little, so that `launcher.py` starts quickly.
"""

import ctypes
import os
import stat
import sys

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def allow(ruleset: int, path: str, rights: int) -> None:
    """Add the rights for a path, with all below it, to a ruleset. Raises OSError."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        rule = _PathRule(allowed=rights, parent=fd)
        call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)


def restrict_self(ruleset: int) -> None:
    """Restrict the calling thread and its children to a ruleset. Raises OSError."""
    # The path of the process is known in the process only. CUDA fails if it cannot write the names of its threads.
    allow(ruleset, "/proc/self", READ | _WRITE_FILE)
    if _libc is None or _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot give up new privileges")
    call(_RESTRICT_SELF, ruleset, 0)


def call(number: int, *args: object) -> int:
    """Make a system call of Landlock, and return its result. Raises OSError."""
    if _libc is None:
        raise OSError("Landlock exists on Linux only")
    result: int = _libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
