"""`callsheet ads winners`: search winning ads, index them, and delete them from the index."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, Url

group = typer.Typer(help="Search winning ads by text or example, and index them.", no_args_is_help=True)

_BATCH = 100
"""Creatives of one job."""
_SHOWN = 80
"""Characters of a text in a column."""

Tenant = Annotated[str, typer.Option("--tenant", help="Whose ads they are")]


@group.command()
def search(
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="What to search, in your words")] = None,
    like: Annotated[str | None, typer.Option("--like", metavar="AD", help="An indexed ad, instead of a text")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="A picture; with a text, both are searched")
    ] = None,
    tenant: Tenant = "default",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only winners with this tag; repeatable")] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="NAME=VALUE", help="Only those with this attribute, such as platform=meta"),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="BOUND", help="Only those with this figure, such as 'roas>=2'; repeatable"),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only those indexed since a time, or a duration: 7d")
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Only those indexed before a time, or a duration ago")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="Number of ads")] = 10,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Number of ads before the first shown one")] = 0,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show the winning ads that are most similar to a text, to one of them, or to a picture."""
    from callsheet.cli.printing import say, show_columns, show_json
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment

    if like is None and text is None and picture is None:
        raise typer.BadParameter("give a text, --like or --picture")
    if like is not None and (text is not None or picture is not None):
        raise typer.BadParameter("give --like alone, without a text or --picture")
    query = {
        "q": text,
        "like": like,
        "tenantId": tenant,
        "tag": tag,
        "attribute": attribute,
        "metric": metric,
        "indexedAfter": None if since is None else moment(since),
        "indexedBefore": None if before is None else moment(before),
        "limit": limit,
        "offset": offset,
    }
    query = {name: value for name, value in query.items() if value is not None}
    with connect(url, api_key) as client:
        if picture is None:
            found = client.get("/api/ads/winners", **query)
        else:
            body, headers = _picture(picture), {"Content-Type": "application/octet-stream"}
            found = client.request("POST", "/api/ads/winners/similar", params=query, content=body, headers=headers)
    if as_json:
        show_json(found)
        return
    rows = [(f"{each['score']:.2f}", each["adId"], _line(each)) for each in found["winners"]]
    if rows:
        show_columns(("SCORE", "AD", "TEXT"), rows)
    say(f"{len(rows)} of {found['total']:,} winning ads")
    if found["outdated"]:
        say(f"{found['outdated']:,} were not searched: another model made their vectors; run `… winners index`")


@group.command()
def index(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON list of creatives, or one JSON object per line")
    ] = None,
    tenant: Tenant = "default",
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Submit creatives to the index, and print the id of the execution.

    Without a file, the vectors that another embedding model made are made again. Media of creatives are named by URLs.
    """
    from callsheet.cli.printing import show, show_json
    from callsheet.cli.remote import connect

    creatives = [] if file is None else _read(file)
    batches = [creatives[start : start + _BATCH] for start in range(0, len(creatives), _BATCH)] or [[]]
    jobs = [
        {"id": f"index-{number}", "operation": "index-winners", "params": {"tenantId": tenant, "creatives": batch}}
        for number, batch in enumerate(batches, 1)
    ]
    with connect(url, api_key) as client:
        receipt = client.post("/api/executions", {"executionPlan": {"name": "Index winning ads", "jobs": jobs}})
    if as_json:
        show_json(receipt)
    else:
        show(receipt["executionId"])


@group.command()
def delete(
    ad: Annotated[str, typer.Argument(metavar="AD", help="Id of the ad")],
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete an ad from the index, with all that is stored about it there."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    path = f"/api/ads/winners/{path_part('AD', ad, slashes=True)}"
    with connect(url, api_key) as client:
        client.request("DELETE", path, params={"tenantId": tenant})
    say(f"{ad} was deleted")


def _line(winner: dict[str, Any]) -> str:
    text = winner["text"] or ", ".join(winner["tags"]) or winner["script"] or winner["look"] or ""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _picture(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from None


def _read(file: Path) -> list[Any]:
    """Return the creatives of a file; the server checks them."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not text.strip():
        raise typer.BadParameter(f"{file} has no creatives")
    if text.lstrip().startswith("["):
        return list(_parse(file, 1, text))
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [_parse(file, number, line) for number, line in lines]


def _parse(file: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{file}, from line {line}: {error}") from None
