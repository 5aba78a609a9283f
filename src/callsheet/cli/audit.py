"""`callsheet audit`: who changed what."""

from typing import Annotated

import typer

from callsheet.cli.options import ApiKey, Json, Url


def audit(
    caller: Annotated[str | None, typer.Option("--caller", metavar="ID", help="Id of a key or a user")] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="NAME", help="Such as cancel_execution")] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="PATH", help="First characters of what was changed")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only since then: 2h, 1d, or 2026-11-22T09:00:00Z")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show who changed what, newest first. It needs a key with the scope admin."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment

    with connect(url, api_key) as client:
        found = client.get(
            "/api/audit",
            caller=caller,
            action=action,
            target=target,
            since=None if since is None else moment(since),
            limit=limit,
        )
    if as_json:
        show_json(found)
        return
    rows = [
        (time_text(e["at"]), e["callerKind"], e["callerName"], e["action"], e["status"], e["target"])
        for e in found["entries"]
    ]
    show_columns(("AT", "CALLER", "NAME", "ACTION", "STATUS", "TARGET"), rows)
