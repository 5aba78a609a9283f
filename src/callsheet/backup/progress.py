"""Progress of backups and restores."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class OnProgress(Protocol):
    """Receives the number of bytes that are done, and of all if it is known."""

    def __call__(self, done: int, size: int | None = None, /) -> None:
        """Show the progress."""


ShowProgress = Callable[[str, int | None], AbstractContextManager[OnProgress]]
"""Shows the progress of a step, given its name and its size in bytes."""
