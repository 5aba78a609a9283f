"""`callsheet costs`: what submissions to providers have cost."""

from typing import Annotated

import typer

from callsheet.cli.options import ApiKey, Json, Url


def costs(
    by: Annotated[str, typer.Option("--by", metavar="GROUP", help="execution, key, model or day")] = "model",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="7d, or 2026-11-01T00:00:00Z; default: this month")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show what submissions to providers have cost, in US dollars."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment

    with connect(url, api_key) as client:
        found = client.get("/api/costs", by=by, since=None if since is None else moment(since), limit=limit)
    if as_json:
        show_json(found)
        return
    rows = [
        (each["group"] or "", each["name"] or "", f"{each['amount']:.4f}", each["submissions"], each["fromPrice"])
        for each in found["costs"]
    ]
    show_columns((by.upper(), "NAME", "DOLLARS", "SUBMISSIONS", "BY PRICE"), rows)
