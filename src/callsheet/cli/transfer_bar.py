"""A progress bar for a file that is sent or received."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from callsheet.cli.printing import use_color


@contextmanager
def transfer_bar(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr if that is a terminal. Yield a function that receives the number of transferred bytes."""
    if not (sys.stderr.isatty() and use_color(sys.stderr)):
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda done: progress.update(task, completed=done)
