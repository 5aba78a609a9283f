"""`callsheet uploads`: list and delete the uploads of a server."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from callsheet.cli.options import ApiKey, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

group = typer.Typer(help="List and delete uploads.", no_args_is_help=True)


@group.command("list")
def list_uploads(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the uploads, newest first, each with the source that names it in a plan."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = list(_all_uploads(client))
    if as_json:
        show_json(found)
    else:
        show_columns(("ID", "SIZE", "ARRIVED", "EXPIRES", "SOURCE"), [_row(upload) for upload in found])


@group.command()
def delete(
    upload_ids: Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of the uploads")],
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete uploads and their files. An upload that an unfinished execution uses is kept; the command fails there."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        for upload_id in upload_ids:
            client.request("DELETE", f"/api/uploads/{upload_id}")
            say(f"{upload_id}: deleted")


def _all_uploads(client: "ApiClient") -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = client.get("/api/uploads", cursor=cursor, limit=200)
        yield from page["uploads"]
        cursor = page["nextCursor"]
        if cursor is None:
            return


def _row(upload: dict[str, Any]) -> tuple[object, ...]:
    from callsheet.cli.printing import size_text, time_text

    arrived = "complete" if upload["complete"] else size_text(upload["offset"])
    return (upload["id"], size_text(upload["size"]), arrived, time_text(upload["expiresAt"]), upload["source"])
