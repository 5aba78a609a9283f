"""How a script in a child process answers whoever started it: one JSON object per line of stdout."""

import errno
import json
import sys
from collections.abc import Callable
from typing import Any

import av

_STEP = 0.01


def send(fact: dict[str, Any]) -> None:
    """Write one line, at once."""
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def answer(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Do the work for the request in the first argument, and tell what it returns, or `error` and `disk_full`."""
    try:
        send(work(json.loads(sys.argv[1])))
    except (av.FFmpegError, MemoryError, ValueError, OSError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        send({"error": words, "disk_full": full})


class ProgressReport:
    """Tells how much is done, from 0 to 1: never less than before, and no oftener than is of use."""

    def __init__(self) -> None:
        self._told = -1.0

    def __call__(self, done: float) -> None:
        """Tell it, if it is worth telling."""
        if done >= min(1.0, self._told + _STEP):
            self._told = done
            send({"done": done})
