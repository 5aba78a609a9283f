"""Run a program that refuses to run as root.

PostgreSQL refuses to start with the effective user id 0. This file is a standalone script that uses only the standard
library: a multi-threaded program must not do these steps between fork and exec.

    python -I -S unprivileged.py IDENTITY wait|detach FOLDER PROGRAM ARGUMENT...

IDENTITY is one of

    self                 the current user
    namespace:UID        the current user in a user namespace that maps it to UID; file owners do not change
    user:UID:GID         that user
    traversing:UID:GID   that user, with the capability to traverse private folders (/root is 0700)
"""

import ctypes
import os
import sys

_CLONE_NEWUSER = 0x10000000
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def _libc(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}: {os.strerror(code)}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - pathlib would double the time this script takes
        file.write(text)


def _enter_namespace(uid: int) -> None:
    own_uid, own_gid = os.geteuid(), os.getegid()
    try:
        _libc("unshare", _CLONE_NEWUSER)
    except OSError as error:
        # The kernel reports "No space left on device" if the limit of user namespaces is 0.
        raise PermissionError(error.errno, "user namespaces are not permitted here") from error
    # Required by the kernel before an unprivileged process may write gid_map.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {own_uid} 1")
    _write("/proc/self/gid_map", f"{own_gid} {own_gid} 1")


def _switch_user(uid: int, gid: int) -> None:
    if os.geteuid() == uid:
        return
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _switch_user_traversing(uid: int, gid: int) -> None:
    _libc("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    _switch_user(uid, gid)
    try:
        _keep_capability(_CAP_DAC_READ_SEARCH)
    except PermissionError:
        # Containers often keep this broader capability without the narrower one.
        _keep_capability(_CAP_DAC_OVERRIDE)


def _keep_capability(capability: int) -> None:
    """Keep only this capability, also across exec."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _libc("capset", header, effective_permitted_inheritable)
    _libc("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _switch_identity(identity: str) -> None:
    kind, *numbers = identity.split(":")
    if kind == "namespace":
        _enter_namespace(int(numbers[0]))
    elif kind == "user":
        _switch_user(int(numbers[0]), int(numbers[1]))
    elif kind == "traversing":
        _switch_user_traversing(int(numbers[0]), int(numbers[1]))
    elif kind != "self":
        raise ValueError(f"unknown identity '{identity}'")


def main(identity: str, mode: str, folder: str, *command: str) -> None:
    """Switch to the identity and exec the program. `detach` reparents it to init, so that no parent must reap it."""
    try:
        _switch_identity(identity)
        os.chdir(folder)
        os.umask(0o077)
        if mode == "detach" and os.fork() != 0:
            os._exit(0)
        os.execv(command[0], command)  # noqa: S606
    except (OSError, ValueError) as error:
        sys.exit(f"{command[0]} as {identity}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
