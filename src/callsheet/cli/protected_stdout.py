"""Keep the standard output for the data of a command, while the code of operations and their child processes run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STDOUT, _STDERR = 1, 2


@contextmanager
def protected_stdout() -> Iterator[None]:
    """Send what is written to the standard output to the standard error, also by child processes."""
    sys.stdout.flush()
    saved = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, _STDOUT)
        os.close(saved)
