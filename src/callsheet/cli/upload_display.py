"""Uploads the local files of a plan, with a progress bar on a terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from callsheet.cli.plan_files import find_plan_files, may_have_local_files
from callsheet.cli.plan_inputs import local_files, missing_files
from callsheet.cli.printing import say, size_text
from callsheet.cli.remote import ApiClient
from callsheet.cli.transfer_bar import transfer_bar
from callsheet.domain.errors import PlanRefused, Problem
from callsheet.domain.plan_inputs import PlanInput


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


def upload_inputs(
    client: ApiClient,
    values: dict[str, Any],
    declared: Mapping[str, PlanInput],
    sources: dict[Path, str],
    place: str = "inputs",
) -> None:
    """Upload the local files that inputs of the type `file` name, and name the uploads in their place.

    `sources` has the files that were uploaded already, and gets the new ones. `place` is where messages say that the
    values are. Raises PlanRefused with every relative path that leads to no file.
    """
    missing = missing_files(values, declared)
    if problems := [
        Problem(f"{place}.{name}", "unknown_file", f"There is no file '{text[:200]}' here")
        for name, text in missing.items()
        if not Path(text).is_absolute()
    ]:
        raise PlanRefused(problems)
    for name, text in missing.items():
        say(f"Not uploaded, because there is no such file here; workers must have it: {place}.{name}: {text[:200]}")
    for name, file in local_files(values, declared).items():
        if file not in sources:
            sources[file] = _upload(client, file)
        values[name] = sources[file]


def _upload(client: ApiClient, file: Path) -> str:
    size = file.stat().st_size
    with transfer_bar(file.name, size) as on_progress:
        source, sent = client.upload(file, on_progress=on_progress)
    say(f"{file.name}: {'uploaded' if sent else 'the server has it already'} ({size_text(size)})")
    return source
