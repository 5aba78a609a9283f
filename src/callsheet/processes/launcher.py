"""Limit the current process, then replace it by another program. Every child process starts with this script.

Run as `python -I -S launcher.py PARENT STATUS RULESET FILE_BYTES CPU_SECONDS PROGRAM ARG…`. PARENT is the process id of
the caller. STATUS is a pipe: it closes when the program starts, and receives `ERRNO MESSAGE` if it cannot be started.
RULESET is a Landlock ruleset to enter. FILE_BYTES and CPU_SECONDS are limits. `-` means no ruleset and no limit.

A `preexec_fn` could do the same without another interpreter. But Python then releases the objects of all other threads
between fork and exec, and an object whose destructor waits for its own threads, such as a decoder's, waits forever: the
child has none of them. Without a `preexec_fn`, Python also needs no fork, which is slow in a large process.

It imports little, also no `pathlib`, so that it starts quickly.
"""

import ctypes
import os
import resource
import signal
import sys

sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - see above
from landlock_calls import restrict_self  # type: ignore[import-not-found]

_PR_SET_PDEATHSIG = 1


def main(parent: str, status: str, ruleset: str, file_bytes: str, cpu_seconds: str, *command: str) -> None:
    """Apply the limits, and execute the command. Returns only if that fails."""
    os.set_inheritable(int(status), False)
    try:
        _end_with(int(parent))
        _raise_oom_score()
        _limit(resource.RLIMIT_CORE, 0)
        if file_bytes != "-":
            _limit(resource.RLIMIT_FSIZE, int(file_bytes))
        if cpu_seconds != "-":
            _limit(resource.RLIMIT_CPU, int(cpu_seconds))
        # Python ignores these signals, and an ignored signal stays ignored in the next program.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if ruleset != "-":
            os.set_inheritable(int(ruleset), False)
            restrict_self(int(ruleset))
        os.execvp(command[0], command)  # noqa: S606 - without a shell on purpose
    except OSError as error:
        os.write(int(status), f"{error.errno} {error.strerror}".encode())
        sys.exit(127)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the call above took effect
        sys.exit(1)


def _raise_oom_score() -> None:
    """Make the kernel kill this process before its worker when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - see above
            score.write("500")
    except OSError:  # not Linux, or no such right
        pass


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    main(*sys.argv[1:])
