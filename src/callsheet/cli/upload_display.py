"""Uploads the local files of a plan, with a progress bar on a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from callsheet.cli.plan_files import find_plan_files, may_have_local_files
from callsheet.cli.printing import say, size_text
from callsheet.cli.remote import ApiClient
from callsheet.cli.transfer_bar import transfer_bar


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
        source, sent = client.upload(file, on_progress=on_progress)
    say(f"{file.name}: {'uploaded' if sent else 'the server has it already'} ({size_text(size)})")
    return source
