"""A progress bar for a file that is sent or received."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from callsheet.cli.printing import use_color


class OnTransfer(Protocol):
    """Receives the number of transferred bytes, and the size when it becomes known."""

    def __call__(self, done: int, size: int | None = None, /) -> None:
        """Show the progress."""


@contextmanager
def transfer_bar(name: str, size: int | None) -> Iterator[OnTransfer]:
    """Show a bar on stderr if that is a terminal. Yield a function that receives the number of transferred bytes."""
    if not (sys.stderr.isatty() and use_color(sys.stderr)):
        yield lambda _done, _size=None, /: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda done, known=None, /: progress.update(task, completed=done, total=known or size)
