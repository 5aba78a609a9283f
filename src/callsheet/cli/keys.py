"""`callsheet keys`: API keys of this installation, in its database."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import DatabaseUrl, DataDir, Json

if TYPE_CHECKING:
    from uuid import UUID

    from callsheet.access.keys import ApiKey, ApiKeyWithSecret
    from callsheet.db.database import Database

group = typer.Typer(help="Manage API keys, in the database of this installation.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id, first characters or name of the key")]


@group.callback()
def keys() -> None:
    """Manage API keys, in the database of this installation."""


@group.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for")],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="read, submit, operate or admin; repeatable (submit, read)"),
    ] = None,
    rate_limit: Annotated[
        int | None, typer.Option("--rate-limit", metavar="COUNT", help="Requests per minute to each server process")
    ] = None,
    max_running: Annotated[
        int | None, typer.Option("--max-running", metavar="COUNT", help="Executions in progress at a time")
    ] = None,
    monthly_budget: Annotated[
        float | None, typer.Option("--monthly-budget", metavar="DOLLARS", help="US dollars in a calendar month (UTC)")
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", metavar="TIME", help="Time after which it is invalid, such as 90d")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Create a key, and print it. It is not shown again."""
    from callsheet.access.keys import ApiKeyRequest, create_key
    from callsheet.cli.installation_database import command_caller, in_database, parsed, record_command
    from callsheet.cli.printing import say, show, show_json

    request = parsed(
        ApiKeyRequest,
        name=name,
        scopes=scopes,
        rate_limit=rate_limit,
        max_running=max_running,
        monthly_budget=monthly_budget,
        expires_at=None if expires_in is None else _after(expires_in),
    )

    async def work(database: "Database") -> "ApiKeyWithSecret":
        async with database.transaction() as connection:
            key = await create_key(connection, request, created_by=command_caller().name)
            await record_command(connection, "keys create", f"/api/keys/{key.id}")
            return key

    created = in_database(work, data_dir, database_url, verbose=context.obj)
    if as_json:
        show_json(created.model_dump(mode="json"))
        return
    say(f"Created {created.id} ({', '.join(created.scopes)}). The key is not shown again:")
    show(created.secret)


@group.command("list")
def list_all(
    context: typer.Context, as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the keys, newest first, also revoked and expired ones."""
    from callsheet.access.keys import list_keys
    from callsheet.cli.installation_database import in_database
    from callsheet.cli.printing import show_columns, show_json, time_text

    found = in_database(list_keys, data_dir, database_url, verbose=context.obj)
    if as_json:
        show_json([key.model_dump(mode="json") for key in found])
        return
    rows = [
        (key.id, key.name, f"{key.prefix}…", ", ".join(key.scopes), state_of(key), time_text(_iso(key.last_used_at)))
        for key in found
    ]
    show_columns(("ID", "NAME", "KEY", "SCOPES", "STATE", "LAST USED"), rows)


@group.command("show")
def show_key(
    context: typer.Context,
    key: KeyId,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Show a key with its limits."""
    from callsheet.access.keys import list_keys
    from callsheet.cli.installation_database import in_database
    from callsheet.cli.printing import show, show_json

    found = _find(in_database(list_keys, data_dir, database_url, verbose=context.obj), key)
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    show(f"{found.id} {state_of(found)}")
    for field, value in found.model_dump(mode="json", by_alias=False, exclude={"id"}).items():
        show(f"  {field.replace('_', ' '):15} {', '.join(value) if isinstance(value, list) else value}")


@group.command()
def revoke(context: typer.Context, key: KeyId, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Revoke a key. Within two seconds, no server accepts it."""
    from callsheet.access.keys import list_keys, revoke_key
    from callsheet.cli.installation_database import in_database, record_command
    from callsheet.cli.printing import say

    async def work(database: "Database") -> "UUID":
        found = _find(await list_keys(database), key)
        async with database.transaction() as connection:
            await revoke_key(connection, found.id)
            await record_command(connection, "keys revoke", f"/api/keys/{found.id}")
        return found.id

    say(f"Revoked: {in_database(work, data_dir, database_url, verbose=context.obj)}")


def state_of(key: "ApiKey") -> str:
    """Return whether a key is active, in a word."""
    from datetime import UTC, datetime

    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "active"


def _find(keys: "list[ApiKey]", text: str) -> "ApiKey":
    from callsheet.domain.errors import NotFound, Problem, ProblemList

    matching = [key for key in keys if str(key.id) == text] or [
        key for key in keys if str(key.id).startswith(text) or text in (key.prefix, key.name)
    ]
    if not matching:
        raise NotFound(f"There is no API key '{text}'.")
    if len(matching) > 1:
        message = f"{len(matching)} keys match '{text}': {', '.join(str(key.id) for key in matching)}"
        raise ProblemList([Problem("KEY", "ambiguous", message)], "Name one key")
    return matching[0]


def _after(text: str) -> Any:
    from datetime import UTC, datetime

    from callsheet.domain.durations import parse_duration

    try:
        return datetime.now(UTC) + parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint="--expires-in") from None


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
