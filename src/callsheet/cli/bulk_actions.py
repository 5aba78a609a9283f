"""Bulk actions: preview and confirm one, and `callsheet bulk` to list, show and stop them."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

group = typer.Typer(help="Follow and stop what changes many executions.", no_args_is_help=True)

BulkId = Annotated[str, typer.Argument(metavar="ID", help="Id of the bulk action")]
Preview = Annotated[bool, typer.Option("--dry-run", help="Only show what would change")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]
FollowBulk = Annotated[bool, typer.Option("--wait", help="Wait until all are processed")]

_VERBS = {"cancel": "cancel", "retry": "retry", "empty_queue": "cancel"}
_DONE = {"cancel": "cancelled", "retry": "retried", "empty_queue": "cancelled"}
_POLL_SECONDS = 0.5


def run_bulk_action(
    action: str,
    filters: dict[str, Any],
    *,
    dry_run: bool,
    yes: bool,
    wait: bool,
    as_json: bool,
    url: str | None,
    api_key: str | None,
) -> None:
    """Show how much an action changes, ask, and request it."""
    from callsheet.cli.printing import say, show, show_json
    from callsheet.cli.remote import connect

    body: dict[str, Any] = {"action": action, "filter": filters}
    with connect(url, api_key) as client:
        preview = client.post("/api/bulk-actions/preview", body)
        if dry_run:
            show_json(preview) if as_json else _show_preview(preview)
            return
        if not yes:
            _confirm(preview)
        started = client.post("/api/bulk-actions", {**body, "upTo": preview["upTo"]})
        if wait:
            started = _wait(client, started["id"])
        if as_json:
            show_json(started)
        elif wait:
            show(_progress(started))
        else:
            say(f"{_sentence(preview)} To see how far it is: callsheet bulk show {started['id']}")
            show(started["id"])
        if wait and started["failed"]:
            raise typer.Exit(1)


def _confirm(preview: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"{_sentence(preview)} Without a terminal to ask on, this needs --yes", param_hint="--yes"
        )
    typer.confirm(f"{_sentence(preview)} Go on?", abort=True, err=True)


def _show_preview(preview: dict[str, Any]) -> None:
    from callsheet.cli.printing import show, show_columns

    show(_sentence(preview))
    if preview["examples"]:
        show("")
        rows = [(each["executionId"], each["status"], each["name"]) for each in preview["examples"]]
        show_columns(("NEWEST", "STATUS", "NAME"), rows)


def _sentence(preview: dict[str, Any]) -> str:
    things = "job" if preview["action"] == "empty_queue" else "execution"
    number = preview["matched"]
    counts = ", ".join(f"{count:,} {status}" for status, count in preview["counts"].items())
    verb = _VERBS[preview["action"]]
    return f"This will {verb} {number:,} {things}{'' if number == 1 else 's'}{f': {counts}' if counts else ''}."


def _wait(client: "ApiClient", action_id: str) -> dict[str, Any]:
    import time

    while True:
        action: dict[str, Any] = client.get(f"/api/bulk-actions/{action_id}")
        if action["status"] != "running":
            return action
        time.sleep(_POLL_SECONDS)


def _progress(action: dict[str, Any]) -> str:
    parts = [f"{action['changed']:,} {_DONE[action['action']]}"]
    if action["unchanged"]:
        parts.append(f"{action['unchanged']:,} unchanged")
    if action["failed"]:
        parts.append(f"{action['failed']:,} failed")
    return f"{action['status']}: {action['processed']:,} of {action['matched']:,}; {', '.join(parts)}"


@group.command("list")
def list_bulk_actions(
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of bulk actions")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Cursor of the next page")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List bulk actions, newest first."""
    from callsheet.cli.printing import say, show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        page = client.get("/api/bulk-actions", limit=limit, cursor=cursor)
    if as_json:
        show_json(page)
        return
    rows = [
        (
            each["id"],
            each["action"],
            _progress(each),
            _filter_text(each),
            each["requestedBy"],
            time_text(each["createdAt"]),
        )
        for each in page["bulkActions"]
    ]
    show_columns(("BULK ACTION", "ACTION", "STATE", "FILTER", "BY", "REQUESTED"), rows)
    if page["nextCursor"]:
        say(f"More: callsheet bulk list --cursor {page['nextCursor']}")


def _filter_text(action: dict[str, Any]) -> str:
    given = {name: value for name, value in action["filter"].items() if value is not None}
    return " ".join(f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in given.items())


@group.command("show")
def show_bulk_action(action_id: BulkId, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show how far a bulk action is, and what could not be changed."""
    from callsheet.cli.printing import show, show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        action = client.get(f"/api/bulk-actions/{action_id}")
    if as_json:
        show_json(action)
        return
    show(f"{action['id']} {action['action']} {_filter_text(action)}".rstrip())
    show(_progress(action))
    if action["failures"]:
        show("")
        rows = [(each["executionId"], each["code"], each["message"]) for each in action["failures"]]
        show_columns(("EXECUTION", "CODE", "WHY"), rows)


@group.command("stop")
def stop_bulk_action(action_id: BulkId, url: Url = None, api_key: ApiKey = None) -> None:
    """End a bulk action early. What it has changed stays so."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        say(_progress(client.post(f"/api/bulk-actions/{action_id}/stop")))
