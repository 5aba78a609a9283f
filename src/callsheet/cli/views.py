"""`callsheet views`: save, list and delete named filters of the lists of executions and jobs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.execution_filters import (
    Batch,
    ErrorCode,
    Key,
    Operation,
    Plan,
    Queue,
    Search,
    Since,
    Source,
    Statuses,
    Until,
    filter_of,
)
from callsheet.cli.options import ApiKey, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

group = typer.Typer(help="Save, list and delete named filters of executions and jobs.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the view")]
Of = Annotated[str, typer.Option("--list", metavar="LIST", help="executions or jobs")]
Shared = Annotated[bool, typer.Option("--shared", help="The view that everyone sees")]
View = Annotated[
    str | None, typer.Option("--view", metavar="NAME", help="The filter of a saved view; other options replace parts")
]


@group.command("list")
def list_views(
    of: Annotated[str | None, typer.Option("--list", metavar="LIST", help="executions or jobs")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List your views and those that are shared."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        answer = client.get("/api/views", list=of)
    if as_json:
        show_json(answer)
        return
    rows = [(v["list"], v["name"], "all" if v["shared"] else "you", _text(v["filter"])) for v in answer["views"]]
    show_columns(("LIST", "NAME", "FOR", "FILTER"), rows)


@group.command()
def save(
    name: Name,
    of: Of = "executions",
    shared: Shared = False,
    statuses: Statuses = None,
    search: Search = None,
    operation: Operation = None,
    queue: Queue = None,
    error_code: ErrorCode = None,
    plan: Plan = None,
    batch: Batch = None,
    source: Source = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Save a filter under a name, or replace it. Use it with --view of `executions list` or `jobs list`."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    filters = filter_of(
        statuses, search, operation, queue, error_code, plan, batch, source, key, since=since, until=until
    )
    with connect(url, api_key) as client:
        view = client.put(_path(of, name), {"filter": filters, "shared": shared})
    say(f"Saved: callsheet {view['list']} list --view {_quoted(view['name'])}")


@group.command()
def delete(name: Name, of: Of = "executions", shared: Shared = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Delete a view. What it showed stays."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        client.request("DELETE", f"{_path(of, name)}?shared={str(shared).lower()}")
    say(f"Deleted: {name}")


def with_view(client: "ApiClient", of: str, name: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the filter of a saved view with what is given beside it. An own view hides a shared one."""
    from callsheet.domain.did_you_mean import did_you_mean
    from callsheet.domain.errors import NotFound

    if name is None:
        return given
    views = client.get("/api/views", list=of)["views"]
    found = sorted((view for view in views if view["name"] == name), key=lambda view: bool(view["shared"]))
    if not found:
        hint = did_you_mean(name, [view["name"] for view in views])
        raise NotFound(f"There is no view '{name}' of {of}{hint or '; `callsheet views list` lists all.'}")
    saved: dict[str, Any] = found[0]["filter"]
    return saved | given


def _path(of: str, name: str) -> str:
    from urllib.parse import quote

    return f"/api/views/{quote(of, safe='')}/{quote(name, safe='')}"


def _text(filters: dict[str, Any]) -> str:
    shown = (f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in filters.items())
    return " ".join(shown) or "everything"


def _quoted(name: str) -> str:
    from shlex import quote

    return quote(name)
