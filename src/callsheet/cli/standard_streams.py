"""Standard streams that the caller has closed."""

import os
import sys


def open_standard_streams() -> None:
    """Open closed standard streams on the null device.

    Otherwise the next file or socket gets the descriptor 0, 1 or 2, and receives what is meant for a stream.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one
            os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
