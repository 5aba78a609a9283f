"""`callsheet users` and `callsheet sessions`: who signs in to the console, in the database of this installation."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from callsheet.cli.options import DatabaseUrl, DataDir, Json

if TYPE_CHECKING:
    from callsheet.access.users import User
    from callsheet.db.database import Database

group = typer.Typer(help="Manage the users of the console, in the database of this installation.", no_args_is_help=True)
sessions_group = typer.Typer(help="List and end the sessions of the console.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user")]
Scopes = Annotated[
    list[str] | None, typer.Option("--scope", metavar="SCOPE", help="read, submit, operate or admin; repeatable")
]


@group.callback()
def users() -> None:
    """Manage the users of the console, in the database of this installation."""


@sessions_group.callback()
def sessions() -> None:
    """List and end the sessions of the console."""


@group.command()
def create(
    context: typer.Context,
    name: Name,
    scopes: Scopes = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Create a user. The password is asked for, or read from standard input. Without --scope, the user only looks."""
    from callsheet.access.users import UserRequest, create_user
    from callsheet.cli.installation_database import command_caller, in_database, parsed, record_command
    from callsheet.cli.printing import say

    request = parsed(UserRequest, name=name, password=_read_password(), scopes=scopes)

    async def work(database: "Database") -> "User":
        async with database.transaction() as connection:
            user = await create_user(connection, request, created_by=command_caller().name)
            await record_command(connection, "users create", f"/api/users/{user.name}")
            return user

    user = in_database(work, data_dir, database_url, verbose=context.obj)
    say(f"Created {user.name} ({', '.join(user.scopes)})")


@group.command()
def change(
    context: typer.Context,
    name: Name,
    scopes: Scopes = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password; it ends all sessions")] = False,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Allow the login, or refuse it")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Change the scopes or the password of a user, disable or enable the user."""
    from callsheet.access.users import UserChange, change_user
    from callsheet.cli.installation_database import in_database, parsed, record_command
    from callsheet.cli.printing import say

    if scopes is None and not password and enable is None:
        raise typer.BadParameter("set at least one of --scope, --password, --enable and --disable")
    disabled = None if enable is None else not enable
    given = parsed(UserChange, scopes=scopes, password=_read_password() if password else None, disabled=disabled)

    async def work(database: "Database") -> "User":
        async with database.transaction() as connection:
            user = await change_user(connection, name, given)
            await record_command(connection, "users change", f"/api/users/{user.name}")
            return user

    user = in_database(work, data_dir, database_url, verbose=context.obj)
    say(f"{user.name}: {', '.join(user.scopes)}{', disabled' if user.disabled_at else ''}")


@group.command()
def delete(context: typer.Context, name: Name, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Delete a user. The sessions of the user end."""
    from callsheet.access.users import delete_user
    from callsheet.cli.installation_database import in_database, record_command
    from callsheet.cli.printing import say

    async def work(database: "Database") -> None:
        async with database.transaction() as connection:
            await delete_user(connection, name)
            await record_command(connection, "users delete", f"/api/users/{name}")

    in_database(work, data_dir, database_url, verbose=context.obj)
    say(f"Deleted: {name}")


@group.command("list")
def list_all(
    context: typer.Context, as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the users."""
    from callsheet.access.users import list_users
    from callsheet.cli.installation_database import in_database
    from callsheet.cli.printing import show_columns, show_json

    found = in_database(list_users, data_dir, database_url, verbose=context.obj)
    if as_json:
        show_json([user.model_dump(mode="json") for user in found])
        return
    rows = [(user.name, ", ".join(user.scopes), "disabled" if user.disabled_at else "active") for user in found]
    show_columns(("USER", "SCOPES", "STATE"), rows)


@sessions_group.command("list")
def list_sessions(
    context: typer.Context, as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the open sessions, newest first."""
    from callsheet.access.sessions import list_sessions as read_sessions
    from callsheet.cli.installation_database import in_database
    from callsheet.cli.printing import show_columns, show_json, time_text

    found = in_database(read_sessions, data_dir, database_url, verbose=context.obj)
    if as_json:
        show_json([session.model_dump(mode="json") for session in found])
        return
    rows = [
        (
            each.id,
            each.name,
            each.address,
            time_text(each.created_at.isoformat()),
            time_text(each.expires_at.isoformat()),
        )
        for each in found
    ]
    show_columns(("SESSION", "NAME", "ADDRESS", "BEGAN", "EXPIRES"), rows)


@sessions_group.command("end")
def end(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Id of the session")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """End a session. Within two seconds, no server accepts its cookie."""
    from uuid import UUID

    from callsheet.access.sessions import end_session
    from callsheet.cli.installation_database import in_database, record_command
    from callsheet.cli.printing import say

    try:
        session_id = UUID(session)
    except ValueError:
        raise typer.BadParameter(f"'{session}' is not the id of a session") from None

    async def work(database: "Database") -> None:
        async with database.transaction() as connection:
            await end_session(connection, session_id)
            await record_command(connection, "sessions end", f"/api/sessions/{session_id}")

    in_database(work, data_dir, database_url, verbose=context.obj)
    say(f"Ended: {session}")


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
