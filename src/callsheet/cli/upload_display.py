"""Uploads the local files of a plan, with a progress bar on a terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from callsheet.cli.plan_files import find_plan_files, may_have_local_files
from callsheet.cli.printing import say, size_text, use_color
from callsheet.cli.remote import ApiClient
from callsheet.cli.uploads import upload_file


def upload_plan_files(client: ApiClient, plan: Any, roots: Sequence[Path]) -> None:
    """Upload the local files that a plan names, and name the uploads in their place.

    Raises PlanRefused with every relative path that leads to no file in the folders `roots`.
    """
    if not may_have_local_files(plan):
        return
    found = find_plan_files(plan, client.get("/api/operations")["operations"], roots)
    for path in found.left_for_workers:
        say(f"Not uploaded, because it is not in an allowed folder here; workers must have it: {path}")
    sources: dict[Path, str] = {}
    for each in found.files:
        if each.file not in sources:
            sources[each.file] = _upload(client, each.file)
        each.replace(sources[each.file])


def _upload(client: ApiClient, file: Path) -> str:
    size = file.stat().st_size
    with transfer_bar(file.name, size) as on_progress:
        source, sent = upload_file(client, file, on_progress)
    say(f"{file.name}: {'uploaded' if sent else 'the server has it already'} ({size_text(size)})")
    return source


@contextmanager
def transfer_bar(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr if that is a terminal. Yield a function that receives the number of transferred bytes."""
    if not (sys.stderr.isatty() and use_color(sys.stderr)):
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda done: progress.update(task, completed=done)
