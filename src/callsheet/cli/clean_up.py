"""`callsheet clean-up`: delete what the retention rules no longer keep, and what nothing names."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

_POLL_SECONDS = 0.5
_SHOWN = 20
"""Orphaned files that are listed before the question."""


def clean_up(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted")] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Search the storage for files that nothing names, and delete these")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before orphans are deleted")] = False,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete executions that the retention rules no longer keep, with their files, and old temporary files.

    A server does this daily at 02:00 UTC, and each machine cleans its disk hourly; this command does not wait for the
    end. With `--orphans`, it lists the files in the storage that nothing names, and deletes these alone.
    """
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        if orphans:
            _clean_orphans(client, dry_run=dry_run, yes=yes, as_json=as_json)
        else:
            _clean(client, dry_run=dry_run, as_json=as_json)


def _clean(client: "ApiClient", *, dry_run: bool, as_json: bool) -> None:
    from callsheet.cli.printing import say, show, show_json

    found = client.get("/api/clean-up")
    if not dry_run:
        client.post("/api/schedules/clean-up/run")
    if as_json:
        show_json(found)
        return
    for line in _lines(found):
        show(line)
    if not dry_run:
        say("Executions and temporary files are being deleted. `callsheet schedules show clean-up` shows the result.")


def _lines(found: dict[str, Any]) -> list[str]:
    from callsheet.cli.printing import size_text

    temporary, orphans = found["temporaryFiles"], found["orphans"]
    lines = [
        f"{found['executions']:,} executions with {found['files']:,} files ({size_text(found['bytes'])})",
        f"{temporary['files']:,} temporary files ({size_text(temporary['bytes'])})",
    ]
    for machine in temporary["machines"]:
        lines.append(
            f"  {machine['host']}: {machine['removableFiles']:,} of them "
            f"({size_text(machine['removableBytes'])}); {size_text(machine['bytes'])} of at most "
            f"{size_text(machine['maxBytes'])} are used, {size_text(machine['liveBytes'])} by live processes"
        )
    if orphans is None:
        lines.append("orphaned files: unknown; `callsheet clean-up --orphans --dry-run` searches the storage")
    else:
        when = f"searched {orphans['createdAt']}, {orphans['status']}"
        lines.append(f"{orphans['files']:,} orphaned files ({size_text(orphans['bytes'])}), {when}; see --orphans")
    return lines


def _clean_orphans(client: "ApiClient", *, dry_run: bool, yes: bool, as_json: bool) -> None:
    from callsheet.cli.printing import say, show, show_json, size_text

    if not (dry_run or yes or sys.stdin.isatty()):
        raise typer.BadParameter("Without a terminal to ask on, deletion needs --yes", param_hint="--yes")
    client.post("/api/clean-up/orphans")
    found = _wait(client)
    summary = (
        f"{found['files']:,} orphaned files ({size_text(found['bytes'])}) among {found['listed']:,} in the storage"
    )
    if not as_json or not (dry_run or yes):
        _show_files(client, found, everything=dry_run)
        (show if dry_run else say)(summary)
    if not dry_run and found["files"]:
        if not yes:
            typer.confirm("Delete them?", abort=True, err=True)
        client.post(f"/api/clean-up/orphans/{found['id']}/delete")
        found = _wait(client)
        say(f"Deleted {found['deleted']:,} files ({size_text(found['deletedBytes'])}); {found['kept']:,} stayed.")
    if as_json:
        show_json({**found, "orphans": _files(client, found)} if dry_run else found)


def _wait(client: "ApiClient") -> dict[str, Any]:
    """Return the search when it, or the deletion, has ended."""
    import time

    from callsheet.cli.printing import say

    while True:
        search: dict[str, Any] = client.get("/api/clean-up/orphans")
        if search["status"] == "failed":
            say(f"The search failed: {search['error']}")
            raise typer.Exit(1)
        if search["status"] not in {"searching", "deleting"}:
            return search
        time.sleep(_POLL_SECONDS)


def _files(client: "ApiClient", search: dict[str, Any], *, most: int | None = None) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    after = ""
    while True:
        page = client.get(f"/api/clean-up/orphans/{search['id']}/files", after=after, limit=200)
        files += page["files"]
        after = page["nextAfter"]
        if after is None or (most is not None and len(files) >= most):
            return files[:most]


def _show_files(client: "ApiClient", search: dict[str, Any], *, everything: bool) -> None:
    from callsheet.cli.printing import say, show, size_text

    write = show if everything else say
    for file in _files(client, search, most=None if everything else _SHOWN):
        write(f"{size_text(file['size']):>10}  {file['modifiedAt'][:19]}  {file['key']}")
    if not everything and search["files"] > _SHOWN:
        write(f"… and {search['files'] - _SHOWN:,} more; `--dry-run` lists all")
