"""`callsheet clean-up`: delete what the retention rules no longer keep."""

from typing import Annotated

import typer

from callsheet.cli.options import ApiKey, Json, Url


def clean_up(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted")] = False,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete executions that the retention rules no longer keep, with their files.

    A server does this daily at 02:00 UTC; this command does not wait for the end.
    """
    from callsheet.cli.printing import say, show, show_json, size_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = client.get("/api/clean-up")
        if not dry_run:
            client.post("/api/schedules/clean-up/run")
    if as_json:
        show_json(found)
        return
    show(f"{found['executions']:,} executions with {found['files']:,} files ({size_text(found['bytes'])})")
    if not dry_run:
        say("They are being deleted. `callsheet schedules show clean-up` shows the result.")
