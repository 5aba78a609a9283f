"""`callsheet ads`: import daily metrics and touches, show the recommended budget and tired ads, search winners."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from callsheet.cli import winners
from callsheet.cli.options import ApiKey, Json, Url

group = typer.Typer(help="Import figures of ads, and share a budget.", no_args_is_help=True)
group.add_typer(winners.group, name="winners")

_BATCH = 1000
"""Rows of one request."""

CsvFile = Annotated[Path, typer.Argument(metavar="FILE", help="CSV file with a header")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose ads they are")]


@group.callback()
def ads() -> None:
    """Import figures of ads, and share a budget."""


@group.command("import")
def import_metrics(file: CsvFile, url: Url = None, api_key: ApiKey = None) -> None:
    """Import daily metrics: the columns are adId, day, impressions, spend, and any other field of the API.

    A day that was imported before is replaced.
    """
    _send(file, "/api/ads/metrics", "metrics", "stored", url, api_key)


@group.command()
def touches(file: CsvFile, url: Url = None, api_key: ApiKey = None) -> None:
    """Import touches: the columns are adId, at, and dealId or contactId; tenantId and kind if you like.

    A touch that was imported before is not imported again.
    """
    _send(file, "/api/ads/touches", "touches", "added", url, api_key)


@group.command()
def recommend(
    tenant: Tenant = "default",
    budget: Annotated[str | None, typer.Option("--budget", help="Budget to split, such as 250.00")] = None,
    reward: Annotated[
        Literal["deals", "reported"], typer.Option("--reward", help="Credit of deals, or figures of the platforms")
    ] = "deals",
    min_share: Annotated[float, typer.Option("--min-share", help="Lowest share of an ad, from 0 to 1")] = 0,
    max_share: Annotated[float, typer.Option("--max-share", help="Highest share of an ad, from 0 to 1")] = 1,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats the random draws")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show how the sampler would share a budget among the ads of a tenant. Nothing is stored."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    query = {"tenantId": tenant, "budget": budget, "reward": reward, "minShare": min_share, "maxShare": max_share}
    with connect(url, api_key) as client:
        found = client.get("/api/ads/recommendations", **query, seed=seed)
    if as_json:
        show_json(found)
        return
    rows = [
        (e["adId"], f"{e['share']:.1%}", e["budget"] or "", f"{e['bestProbability']:.1%}", f"{e['expectedReturn']:.2f}")
        for e in found["ads"]
    ]
    show_columns(("AD", "SHARE", "BUDGET", "BEST", "RETURN"), rows)


@group.command()
def fatigue(
    tenant: Tenant = "default",
    day: Annotated[str | None, typer.Option("--day", help="Last day that counts, such as 2026-11-20")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show the ads of a tenant that their audience is tired of, with the change of each figure. Nothing is stored."""
    from callsheet.cli.printing import say, show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = client.get("/api/ads/fatigue", tenantId=tenant, day=day)
    if as_json:
        show_json(found)
        return
    figures = ("frequency", "cpm", "engagement", "click-through")
    rows = []
    for ad in found["ads"]:
        changes = {each["name"]: f"{each['change']:+.0%}{'!' if each['on'] else ''}" for each in ad["signals"]}
        rows.append((ad["adId"], ad["severity"], f"{ad['score']:.2f}", *(changes.get(name, "") for name in figures)))
    if rows:
        show_columns(("AD", "SEVERITY", "SCORE", *(name.upper() for name in figures)), rows)
    counts = found["counts"]
    missing = counts["tooFewDays"] + counts["noRecentDays"]
    say(f"{found['day']}: {len(rows)} shown; {counts['none']:,} not tired; {missing:,} with too few days to assess")


def _send(file: Path, path: str, name: str, count: str, url: str | None, api_key: str | None) -> None:
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    total, first = 0, 2
    with connect(url, api_key) as client, _open(file) as text:
        rows = _rows(file, csv.DictReader(text))
        while batch := list(islice(rows, _BATCH)):
            say(f"{file.name}: lines {first:,} to {first + len(batch) - 1:,}")
            total += client.post(path, {name: batch})[count]
            first += len(batch)
    say(f"{total:,} {count}")


def _open(file: Path) -> TextIO:
    try:
        return file.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from None


def _rows(file: Path, reader: "csv.DictReader[str]") -> Iterator[dict[str, Any]]:
    """Yield the rows with their values as JSON. An empty value is left out."""
    try:
        for row in reader:
            if None in row:
                raise typer.BadParameter(f"{file}, line {reader.line_num}: has more values than the header")
            yield {field.strip(): value.strip() for field, value in row.items() if value and value.strip()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}, line {reader.line_num}: {error}") from None
