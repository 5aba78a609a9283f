"""Script: run a command, and end all its processes when this one is asked to end, or when its parent dies.

Trainers start processes of their own, also in sessions of their own, which a signal to the process group does not
reach. This process therefore adopts all orphans below it (PR_SET_CHILD_SUBREAPER), and kills everything below it.
It uses the standard library only, and does not import Callsheet.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    """Run the command in the arguments, and exit as it does."""
    parent = os.getppid()
    signal.signal(signal.SIGTERM, _stop)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Instead of the SIGKILL that the worker has set: it would leave the processes below running.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        process = subprocess.Popen(sys.argv[1:])
    except OSError as error:
        sys.exit(f"{sys.argv[1]} cannot be started: {error.strerror}")
    code = process.wait()
    kill_below(os.getpid())
    sys.exit(128 - code if code < 0 else code)


def _stop(_number: int, _frame: object) -> None:
    kill_below(os.getpid())
    os._exit(143)


def kill_below(root: int) -> None:
    """Kill all processes below this one, until there is none."""
    while found := processes_below(root):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()


def _reap() -> None:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return


def processes_below(root: int) -> list[int]:
    """Return the ids of all living processes below this one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (facts := _state_and_parent(entry)) is not None and facts[0] != "Z":
            children.setdefault(facts[1], []).append(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _state_and_parent(entry: Path) -> tuple[str, int] | None:
    try:
        # The name of the program, in parentheses, may contain anything.
        state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return state, int(parent)


if __name__ == "__main__":
    main()
