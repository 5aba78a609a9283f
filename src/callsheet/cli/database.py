"""`callsheet db`: the schema of the database."""

from pathlib import Path
from typing import Annotated

import typer

from callsheet.cli.options import DatabaseUrl, DataDir

group = typer.Typer(help="Manage the database.", no_args_is_help=True)


@group.callback()
def db() -> None:
    """Manage the database."""


@group.command()
def upgrade(context: typer.Context, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Upgrade the database to the schema of this version. Safe at any time, also concurrently."""
    from callsheet.cli.bootstrap import configure_command_logging, load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say
    from callsheet.wiring import open_database

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    configure_command_logging(settings, verbose=context.obj, level="warning")

    async def work() -> None:
        from callsheet.db.upgrade import current_revision

        async with open_database(settings, migrate=True) as database:
            say(f"The database has schema revision {await current_revision(database.address)}.")

    run_async(work())


@group.command("upgrade-server")
def upgrade_server(
    context: typer.Context,
    programs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the programs of the earlier PostgreSQL, such as /usr/lib/postgresql/15/bin"
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Move an embedded database that an earlier PostgreSQL created to the PostgreSQL of this version.

    The old database stays beside the new one. Stop all Callsheet processes of the data folder before.
    """
    from callsheet.backup.server_upgrade import upgrade_server
    from callsheet.cli.bootstrap import configure_command_logging, load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say
    from callsheet.cli.transfer_bar import transfer_bar

    settings = load_settings(data_dir=data_dir)
    configure_command_logging(settings, verbose=context.obj, level="warning")
    kept = run_async(upgrade_server(settings, programs=programs, show=transfer_bar))
    if kept is None:
        say("The embedded database is of the PostgreSQL of this version already.")
    else:
        say(f"The embedded database was moved to this PostgreSQL. The old one is kept: delete {kept} when all is well.")
